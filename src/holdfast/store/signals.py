"""Telling a run something: the inbox that whoever holds the run folds into its journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database

SignalKind = Literal["cancel", "message", "decision", "late_outcome", "wake"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a signal: `delivered`, `repeated` (same `dedupe`), `finished` or `absent` (the run).

    `too_many_bytes`: it is a message, and the tenant has as many bytes as it may.
    """

    outcome: Literal["delivered", "repeated", "finished", "absent", "too_many_bytes"]
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

    The same `dedupe` is delivered once to a run, whoever repeats it. Every delivery has one, made here if none is
    given, so it can be repeated while the database is away.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits; it may have been delivered.
    """
    parameters = {
        "tenant": tenant,
        "run": run,
        "kind": kind,
        "body": body,
        "content": content,
        "digest": digest,
        "by": by,
        "dedupe": uuid4().hex if dedupe is None else dedupe,
    }
    rows = await db.repeat(lambda: db.fetch(tenant, "deliver_signal", parameters, class_row(Delivered)))
    found = rows[0]
    # Nobody else knows the one made here: it was delivered by an attempt whose answer was lost.
    return Delivered("delivered", found.seq) if dedupe is None and found.outcome == "repeated" else found
