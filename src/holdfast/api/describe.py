"""What the OpenAPI document says of a route beside what its signature says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from holdfast.api.catalogue import CATALOGUE
from holdfast.api.problems import MEDIA_TYPE, ProblemView

EVERYWHERE = ("internal-error", "unavailable")
BEHIND_THE_GATE = ("unauthenticated", "missing-scope", "too-many-attempts", "slow-body", "too-large")
BODY = ("malformed-json", "unsupported-media-type", "invalid-request", "invalid-input")


_SCHEMA = ProblemView.model_json_schema()


def problems(*slugs: str, public: bool = False) -> dict[int | str, dict[str, Any]]:
    """The problems a route can answer with, by status, each with an example. `public` is for routes for anybody."""
    found: dict[int | str, dict[str, Any]] = {}
    for slug in (*slugs, *(() if public else BEHIND_THE_GATE), *EVERYWHERE):
        kind = CATALOGUE[slug]
        entry = found.setdefault(
            kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": _SCHEMA, "examples": {}}}}
        )
        entry["description"] = "; ".join(filter(None, [entry["description"], kind.title]))
        entry["content"][MEDIA_TYPE]["examples"][slug] = {
            "value": {
                "type": f"/problems/{slug}",
                "title": kind.title,
                "status": kind.status,
                "detail": kind.what_to_do,
                "instance": "/v1/…",
            }
        }
    return found


def body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The request body, for routes that read it themselves."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def answer(status: int, model: type[BaseModel], description: str) -> dict[int | str, dict[str, Any]]:
    """A successful answer."""
    return {status: {"model": model, "description": description}}
