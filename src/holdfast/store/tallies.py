"""Sums that calls are decided on. They are added to in the commit of an intent, by `append`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database


class Sum(NamedTuple):
    """Which sum: its name, whose it is, and when its window began."""

    name: str
    owner: str
    since: datetime


class Seen(NamedTuple):
    """What a sum is at this moment, in ten-thousandths."""

    name: str
    seen: int
    own: int | None
    """What of it the effect that asks has added; None where it has not."""


async def read_tallies(db: Database, tenant: UUID, run: UUID, key: str, sums: Sequence[Sum]) -> dict[str, Seen]:
    """These sums by name, as they are now, for the effect of that key. A new one is nothing.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "tenant": tenant,
        "run": run,
        "key": key,
        "names": [one.name for one in sums],
        "owners": [one.owner for one in sums],
        "since": [one.since for one in sums],
    }
    rows = await db.repeat(lambda: db.fetch(tenant, "read_tallies", parameters, class_row(Seen)))
    return {row.name: row for row in rows}
