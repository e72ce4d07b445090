"""How runs come to a worker, and go back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from psycopg.rows import dict_row

from holdfast.domain.principal import Principal
from holdfast.store.hashing import StoredEvent
from holdfast.store.query import query

if TYPE_CHECKING:
    from holdfast.store.pool import Database


_BEHIND = ("kind", "name", "disabled", "roles", "claims_age_s", "ceilings")


class Behind(NamedTuple):
    """Whom a run is for and the limits of their tenant, as they stood when the database was asked."""

    principal: Principal
    claims_age_s: float | None
    """How long ago their provider had last said who they are. None where none ever did."""
    ceilings: Mapping[str, int]
    """The limits of their tenant, which hold for each of its runs."""


class ShortJournal(NamedTuple):
    """All that a run recorded, as it came with the claim."""

    events: list[StoredEvent]
    sealed: list[tuple[bytes, bytes]]
    """Content by digest."""


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
    behind: Behind | None = None
    """Whom it is for, as they stood at the claim. None where there is nobody of that id."""
    journal: ShortJournal | None = None
    """None where it is too long to come along: it is to be read."""


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
        async with db.connection() as connection, connection.cursor(binary=True, row_factory=dict_row) as cursor:
            await cursor.execute(query("claim_runs"), parameters)
            return [_claimed(row) for row in await cursor.fetchall()]

    return await db.repeat(act)


def _claimed(row: dict[str, Any]) -> Claimed:
    columns = [row.pop(name) for name in ("seqs", "types", "ats", "bodies", "hashes")]
    sealed = row.pop("digests"), row.pop("contents")
    row["behind"] = _behind(row["tenant"], row["principal"], *(row.pop(name) for name in _BEHIND))
    if columns[0] is None:
        return Claimed(**row)
    events = [StoredEvent(row["tenant"], row["run"], *event) for event in zip(*columns, strict=True)]
    return Claimed(**row, journal=ShortJournal(events, list(zip(*sealed, strict=True))))


def _behind(
    tenant: UUID,
    id_: str,
    kind: str | None,
    name: str,
    disabled: bool,
    roles: list[str],
    claims_age_s: float | None,
    ceilings: dict[str, int],
) -> Behind | None:
    if kind is None:
        return None
    principal = Principal.recorded(tenant, UUID(id_), kind=kind, name=name, roles=roles, disabled=disabled)
    return Behind(principal, claims_age_s, ceilings)


async def renew_rights(db: Database, claimed: Claimed) -> Behind | None:
    """Whom a run is for, as they stand now; None where there is nobody, or the run is not held by this claim any more.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    named = {"tenant": claimed.tenant, "run": claimed.run, "worker": claimed.worker, "epoch": claimed.epoch}
    rows = await db.repeat(lambda: db.fetch(claimed.tenant, "renew_rights", named))
    return _behind(claimed.tenant, claimed.principal, *rows[0]) if rows else None


async def release_runs(db: Database, worker: UUID, runs: Sequence[UUID], *, failed: bool = False) -> int:
    """Give runs back: queued at once, in their old place. Answers how many were this worker's.

    A hand-over is no failed attempt. With `failed` it counts, and the third in a row without an outcome parks the run
    in quarantine.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"worker": worker, "runs": list(runs), "failed": failed}
    return await db.value("release_runs", parameters)
