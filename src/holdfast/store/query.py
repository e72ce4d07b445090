"""Loads the named queries: one file in `queries/` each, which opens with what it does."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


@cache
def query(name: str) -> bytes:
    """The text of `queries/<name>.sql`, as psycopg takes it."""
    return (files("holdfast.store") / "queries" / f"{name}.sql").read_bytes()


def scoped(tenant: UUID, name: str, parameters: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    """A named query that answers with rows, as one statement that sets the scope of a tenant, and what goes with it."""
    if parameters.get("tenant") == tenant:
        return _in_its_own(name), parameters
    return _in_anothers(name), {**parameters, "scoped_to": tenant}


@cache
def _in_its_own(name: str) -> bytes:
    # By the parameter that the query has already: one more would be sent and read with each.
    return in_scope(query(name), b"tenant")


@cache
def _in_anothers(name: str) -> bytes:
    return in_scope(query(name))


def in_scope(text: bytes, parameter: bytes = b"scoped_to") -> bytes:
    """One statement of what answers with rows, and of the scope it does so in, for a transaction of its own.

    A statement more that sets the tenant costs as much as many a query. Here the server sets it before it looks for the
    first row: what the outer query asks of no row is asked before any is read, and OFFSET 0 keeps all of the inner one,
    with the policies of its tables, inside. Were it ever asked later, no row would be seen. `parameter` names the
    tenant.
    """
    setting = b"select set_config('holdfast.tenant', %(" + parameter + b")s::uuid::text, true)"
    return b"select q.* from (\n" + text + b"\noffset 0) q where (" + setting + b") is not null"
