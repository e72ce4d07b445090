"""Loads the named queries: one file in `queries/` each, which opens with what it does."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of `queries/<name>.sql`, as psycopg takes it."""
    return (files("holdfast.store") / "queries" / f"{name}.sql").read_bytes()


@cache
def scoped(name: str) -> bytes:
    """A named query that answers with rows, in the scope of the tenant `%(scoped_to)s`."""
    return in_scope(query(name))


def in_scope(text: bytes) -> bytes:
    """One statement of what answers with rows, and of the scope it does so in, for a transaction of its own.

    A statement more that sets the tenant costs as much as many a query. Here the server sets it before it looks for the
    first row: what the outer query asks of no row is asked before any is read, and OFFSET 0 keeps all of the inner one,
    with the policies of its tables, inside. Were it ever asked later, no row would be seen.
    """
    setting = b"select set_config('holdfast.tenant', %(scoped_to)s, true)"
    return b"select q.* from (\n" + text + b"\noffset 0) q where (" + setting + b") is not null"
