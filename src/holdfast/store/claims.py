"""How runs come to a worker, and go back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

from holdfast.store.query import query

if TYPE_CHECKING:
    from holdfast.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run as it was when it became a worker's: all that is needed to go on with it."""

    tenant: UUID
    run: UUID
    worker: UUID
    task: str
    task_version: str
    epoch: int
    seq: int
    """The last event of the journal."""
    head: bytes
    """The hash of the last event."""
    inbox_seq: int
    """The last signal delivered."""
    folded_seq: int
    """The last signal folded into the journal."""
    cancelling: bool
    claims: int
    """Claims since the last outcome, this one included."""
    rewound: bool
    """The database lost its latest commits since this run was last claimed: unfinished effects are in doubt."""
    subject: str
    principal: str
    session: UUID | None
    parent: UUID | None


async def claim_runs(
    db: Database, worker: UUID, want: int, tasks: Sequence[str], versions: Sequence[str], free: Sequence[int]
) -> list[Claimed]:
    """Take at most `want` queued runs, and at most `free[i]` of `tasks[i]` at `versions[i]`.

    Empty when there are none, and when the worker's lease has expired. A claim whose answer was lost is reported
    as stray by the next renewal.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "worker": worker,
        "want": want,
        "tasks": list(tasks),
        "versions": list(versions),
        "free": list(free),
    }

    async def act() -> list[Claimed]:
        async with db.connection() as connection, connection.cursor(row_factory=class_row(Claimed)) as cursor:
            await cursor.execute(query("claim_runs"), parameters)
            return await cursor.fetchall()

    return await db.repeat(act)


async def release_runs(db: Database, worker: UUID, runs: Sequence[UUID], *, failed: bool = False) -> int:
    """Give runs back: queued at once, in their old place. Answers how many were this worker's.

    A hand-over is no failed attempt. With `failed` it counts, and the third in a row without an outcome parks the run
    in quarantine.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"worker": worker, "runs": list(runs), "failed": failed}
    return await db.value("release_runs", parameters)
