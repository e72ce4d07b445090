"""The seam to Cedar: the five things that are asked of it, with their types. Nothing else here imports `cedarpy`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cedarpy

Schema: TypeAlias = cedarpy.Schema
PolicySet: TypeAlias = cedarpy.PolicySet
Entities: TypeAlias = cedarpy.Entities

SOMEBODY = {"type": "Person", "id": "somebody"}
"""Policies speak of roles only, so whose roles they are does not matter."""


class CedarRefused(Exception):
    """Cedar cannot read a text; the message is its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Cedar says of a request."""

    allowed: bool
    fired: tuple[int, ...]
    """The statements that decided, by their place in the set: forbids that fired, else the permits that did."""
    errors: Sequence[str]


def schema(text: str) -> Schema:
    """A schema, parsed once."""
    return cedarpy.Schema.from_str(text)


def policy_set(texts: Iterable[str]) -> PolicySet:
    """Statements, parsed once. Cedar numbers them in their order."""
    return cedarpy.PolicySet.from_str("\n".join(texts))


def parsed(text: str) -> dict[str, Any]:
    """Statements as Cedar's JSON has them.

    Raises:
        CedarRefused: they cannot be read.
    """
    try:
        return json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise CedarRefused(str(error).splitlines()[0]) from None


def complaints(text: str, against: Schema) -> list[str]:
    """What the validator has to say of a statement."""
    found = cedarpy.validate_policies(text, against)  # pyright: ignore[reportUnknownMemberType]
    return [error.error for error in found.errors]


def somebody(roles: Iterable[str], known: Schema) -> Entities:
    """The entities of a request from somebody with these roles.

    With the schema: without it no tool is in any group, and statements about groups match nothing, without an error.
    """
    parents = [{"type": "Role", "id": role} for role in sorted(roles)]
    text = json.dumps([{"uid": SOMEBODY, "attrs": {}, "parents": parents}])
    return cedarpy.Entities.from_json_str(text, known)  # pyright: ignore[reportUnknownMemberType]


def ask(request: dict[str, Any], policies: PolicySet, entities: Entities, known: Schema) -> Answer:
    """Put one request to a set of statements."""
    said = cedarpy.is_authorized(request, policies, entities, known)  # pyright: ignore[reportUnknownMemberType]
    fired = sorted(int(reason.removeprefix("policy")) for reason in said.diagnostics.reasons)
    return Answer(said.allowed, tuple(fired), said.diagnostics.errors)
