"""Loads the named queries: one file in `queries/` each, which opens with what it does."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of `queries/<name>.sql`, as psycopg takes it."""
    return (files("holdfast.store") / "queries" / f"{name}.sql").read_bytes()
