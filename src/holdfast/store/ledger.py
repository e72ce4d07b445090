"""The ledger: what runs cost. It is written by `append`, and here only read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.ledger import Amounts

if TYPE_CHECKING:
    from holdfast.store.pool import Database

DIMENSIONS = ("day", "feature", "model", "tool", "task", "user", "session", "run")
"""What costs can be told apart by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What some runs cost together. Of the dimensions that were not asked for, None."""

    day: str | None
    feature: str | None
    model: str | None
    tool: str | None
    task: str | None
    user: str | None
    session: str | None
    run: str | None
    cost_usd_micros: int
    model_usd_micros: int
    tool_usd_micros: int
    unpriced: int
    model_requests: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int
    server_tools: int
    compute_ms: int
    bytes: int


NOTHING = CostRow(**{field.name: None if field.name in DIMENSIONS else 0 for field in fields(CostRow)})  # pyright: ignore[reportArgumentType]
"""What no run at all cost."""


async def read_costs(
    db: Database, tenant: UUID, *, by: Collection[str], since: date, until: date, only: str | None, limit: int
) -> Sequence[CostRow]:
    """What runs cost from one day to another, both included, told apart by these dimensions; the dearest first.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "tenant": tenant, "by": list(by), "since": since, "until": until, "only": only, "limit": limit,
    }  # fmt: skip
    return await db.repeat(lambda: db.fetch(tenant, "read_costs", parameters, class_row(CostRow)))


async def read_run_ledger(db: Database, tenant: UUID, run: UUID) -> dict[tuple[date, str, str], Amounts]:
    """The rows of one run: by day, kind and name.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    rows = await db.repeat(lambda: db.fetch(tenant, "read_run_ledger", {"tenant": tenant, "run": run}))
    return {(day, kind, name): Amounts(*amounts) for day, kind, name, *amounts in rows}


async def costly_runs(
    db: Database, tenant: UUID, *, since: date, until: date, only: str | None, after: UUID | None, limit: int = 200
) -> Sequence[UUID]:
    """Runs that did anything from one day to another, both included, by id, behind `after`.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "tenant": tenant, "since": since, "until": until, "only": only, "after": after, "limit": limit,
    }  # fmt: skip
    return [run for (run,) in await db.repeat(lambda: db.fetch(tenant, "costly_runs", parameters))]


async def stored_bytes(db: Database, tenant: UUID, run: UUID, accepted: Collection[bytes]) -> tuple[int, int]:
    """How many bytes a run has stored since it was accepted, with this content by digest: at least, and at most.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "run": run, "digests": list(accepted)}
    [(least, most)] = await db.repeat(lambda: db.fetch(tenant, "stored_bytes", parameters))
    return least, most
