"""Telling a run something: the inbox that whoever holds the run folds into its journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database

SignalKind = Literal["cancel", "message", "decision", "late_outcome", "wake"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a signal: `delivered`, `repeated` (same `dedupe`), `finished` or `absent` (the run)."""

    outcome: Literal["delivered", "repeated", "finished", "absent"]
    seq: int | None
    """Its place in the inbox; that of the first for a repeated one."""


async def deliver_signal(
    db: Database,
    tenant: UUID,
    run: UUID,
    kind: SignalKind,
    body: str,
    *,
    by: str,
    content: bytes | None = None,
    digest: bytes | None = None,
    dedupe: str | None = None,
) -> Delivered:
    """Put a signal into a run's inbox and wake the run if it is parked, both or neither.

    With `dedupe` it is repeated while the database is away, and delivered once. Without, a lost answer surfaces.

    Raises:
        DatabaseUnavailable: the database was away; without `dedupe`, the signal may have been delivered.
    """
    parameters = {
        "tenant": tenant,
        "run": run,
        "kind": kind,
        "body": body,
        "content": content,
        "digest": digest,
        "by": by,
        "dedupe": dedupe,
    }
    rows = await db.repeat(
        lambda: db.fetch(tenant, "deliver_signal", parameters, class_row(Delivered)),
        after_loss=dedupe is not None,
    )
    return rows[0]
