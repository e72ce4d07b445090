"""Requests that come again: what the first one with a key made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database


class Idempotency(NamedTuple):
    """A caller's key, in a scope such as the use and the principal, and the digest of the request it came with."""

    scope: str
    key: str
    request: bytes


class NoKey(NamedTuple):
    """As `Idempotency`, of a request that came without a key."""

    scope: None = None
    key: None = None
    request: None = None


@dataclass(frozen=True, slots=True)
class Before:
    """`repeated`: the first request made `made`. `conflict`: the key came with another request."""

    outcome: Literal["repeated", "conflict"]
    made: UUID


async def accepted_before(db: Database, tenant: UUID, idempotency: Idempotency) -> Before | None:
    """What became of the first request with this key. None: it never came.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, **idempotency._asdict()}
    rows = await db.repeat(lambda: db.fetch(tenant, "accepted_before", parameters, class_row(Before)))
    return rows[0] if rows else None
