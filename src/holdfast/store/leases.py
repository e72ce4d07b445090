"""A worker's lease: registered, renewed, given back; and the tick that acts on those that expired.

The `_sync` verbs are for the thread that renews: it has a connection of its own, which nothing that user
code does to the event loop can block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from psycopg.rows import class_row

from holdfast.store.claims import release_runs as release_runs  # noqa: PLC0414  a lease's verbs in one place
from holdfast.store.query import query

if TYPE_CHECKING:
    import psycopg

    from holdfast.store.pool import Database


@dataclass(frozen=True, slots=True)
class Attention:
    """A run of this worker with signals that are not folded in yet."""

    tenant: UUID
    run: UUID
    inbox_seq: int
    cancelling: bool


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal found. When not `ok` the lease had expired: the worker has lost its runs."""

    ok: bool
    attention: list[Attention] = field(default_factory=list[Attention])
    stray: list[UUID] = field(default_factory=list[UUID])
    """Runs that are this worker's and that it did not name: it should release them."""
    lost: list[UUID] = field(default_factory=list[UUID])
    """Runs that it named and that are not its any more."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """How many runs a tick moved, by rule."""

    rescued: int
    quarantined: int
    woken: int
    parked: int
    unparked: int
    rewound: int
    halts_due: int
    """Halts whose time is up, for `expire_halts`."""
    expired: int = 0
    """Questions to people that nobody answered in time."""
    escalated: int = 0
    """Questions that go to others from now on."""

    @property
    def queued(self) -> int:
        """How many can be claimed now that could not before, at most: an expired question may be one of several."""
        return self.rescued + self.woken + self.unparked + self.expired + self.escalated

    @property
    def moved(self) -> int:
        """How many changed state."""
        return self.queued + self.quarantined + self.parked

    def fields(self) -> dict[str, int]:
        """The counts that are not zero, by name."""
        return {name: count for name, count in asdict(self).items() if count}


async def register_worker(
    db: Database, worker: UUID, host: str, pid: int, serves: Mapping[str, Sequence[str]], lease_s: float
) -> None:
    """Register a worker that serves these versions of these tasks. Told twice, it changes nothing.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    await db.value("register_worker", _registration(worker, host, pid, serves, lease_s))


def register_worker_sync(
    connection: psycopg.Connection[Any],
    worker: UUID,
    host: str,
    pid: int,
    serves: Mapping[str, Sequence[str]],
    lease_s: float,
) -> None:
    """As `register_worker`, once.

    Raises:
        psycopg.Error: it failed.
    """
    connection.execute(query("register_worker"), _registration(worker, host, pid, serves, lease_s))


async def renew_lease(db: Database, worker: UUID, holding: Sequence[UUID]) -> Renewal:
    """Renew the lease of a worker that carries these runs.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"worker": worker, "holding": list(holding)}
    return _renewal(await db.repeat(lambda: db.fetch(None, "renew_lease", parameters)))


def renew_lease_sync(connection: psycopg.Connection[Any], worker: UUID, holding: Sequence[UUID]) -> Renewal:
    """As `renew_lease`, once.

    Raises:
        psycopg.Error: it failed, or its answer was lost.
    """
    cursor = connection.execute(query("renew_lease"), {"worker": worker, "holding": list(holding)})
    return _renewal(cursor.fetchall())


async def leave(db: Database, worker: UUID) -> int:
    """Give all runs of a worker back and forget it. Answers how many runs that were.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    return await db.value("leave", {"worker": worker})


def leave_sync(connection: psycopg.Connection[Any], worker: UUID) -> int:
    """As `leave`, once.

    Raises:
        psycopg.Error: it failed, or its answer was lost.
    """
    row = connection.execute(query("leave"), {"worker": worker}).fetchone()
    return row[0] if row else 0


async def tick(db: Database, limit: int) -> Ticked:
    """Do what time alone brings about, to at most `limit` runs per rule. Any worker may, at any time.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    rows = await db.repeat(lambda: db.fetch(None, "tick", {"limit": limit}, class_row(Ticked)))
    return rows[0]


def _registration(
    worker: UUID, host: str, pid: int, serves: Mapping[str, Sequence[str]], lease_s: float
) -> dict[str, Any]:
    text = orjson.dumps({task: list(versions) for task, versions in serves.items()}).decode()
    return {"worker": worker, "host": host, "pid": pid, "serves": text, "lease_s": lease_s}


def _renewal(rows: Iterable[Sequence[Any]]) -> Renewal:
    (ok, *_), *rest = rows
    found = Renewal(ok)
    for _, kind, tenant, run, inbox_seq, cancelling in rest:
        match kind:
            case "attention":
                found.attention.append(Attention(tenant, run, inbox_seq, cancelling))
            case "stray":
                found.stray.append(run)
            case _:
                found.lost.append(run)
    return found
