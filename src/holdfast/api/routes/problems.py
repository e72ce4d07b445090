"""The pages that a problem's `type` points to."""

from __future__ import annotations

from html import escape

import orjson
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from holdfast.api.catalogue import CATALOGUE, Problem
from holdfast.domain.errors import NotFound

router = APIRouter(tags=["problems"])


@router.get("/problems", summary="List problems", include_in_schema=False)
async def get_problems() -> Response:
    """Every problem this interface answers with."""
    return _json([_document(kind) for kind in CATALOGUE.values()])


@router.get("/problems/{slug}", summary="Explain a problem", include_in_schema=False)
async def get_problem(request: Request, slug: str) -> Response:
    """What a problem is and what to do, as a page or, with `Accept: application/json`, as JSON."""
    kind = CATALOGUE.get(slug)
    if kind is None:
        raise NotFound("There is no such problem. GET /problems lists those there are.")
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(kind))
    return _json(_document(kind))


def _document(kind: Problem) -> dict[str, str | int]:
    return {
        "type": f"/problems/{kind.slug}",
        "status": kind.status,
        "title": kind.title,
        "what_to_do": kind.what_to_do,
    }


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _page(kind: Problem) -> str:
    title, text = escape(kind.title), escape(kind.what_to_do)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>Status {kind.status}, type <code>/problems/{escape(kind.slug)}</code></p>"
        f"<p>{text}</p></html>"
    )
