"""Stops: once one is declared, no intent that it covers commits. Facts still do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson
from psycopg.rows import class_row

from holdfast.domain.halts import Authority, Halt, HaltScope
from holdfast.store.query import query

if TYPE_CHECKING:
    import psycopg

    from holdfast.store.pool import Database


class Declared(NamedTuple):
    """The halt that is in force, and whether it was before."""

    id: UUID
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltRow:
    """A halt, in force or ended."""

    tenant: UUID
    id: UUID
    scope: str
    key: str
    reason: str
    by: str
    authority: int
    at: datetime
    expires_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None
    freed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AckRow:
    """What one worker has said of a halt."""

    worker: UUID
    host: str
    pid: int
    at: datetime
    dispatched_at: datetime | None
    cancelled_at: datetime | None
    finished_at: datetime | None
    in_flight: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that a halt waits for."""

    worker: UUID
    host: str
    pid: int
    alive: bool
    """Its lease has not run out."""
    knows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What a worker has to say of a halt. Ages in seconds; None where there was none."""

    tenant: UUID
    halt: UUID
    dispatched_s: float | None = None
    cancelled_s: float | None = None
    finished_s: float | None = None
    in_flight: Sequence[dict[str, Any]] = ()


async def declare_halt(
    db: Database,
    tenant: UUID,
    id_: UUID,
    scope: HaltScope,
    key: str,
    *,
    reason: str,
    by: str,
    authority: Authority,
    for_s: float | None = None,
) -> Declared:
    """Stop what `scope` and `key` name; `everything` in the platform's tenant only. When this returns, no intent that
    it covers can commit any more. Where it was in force already, that one is answered.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "tenant": tenant,
        "id": id_,
        "scope": scope.value,
        "key": key,
        "reason": reason,
        "by": by,
        "authority": int(authority),
        "for_s": for_s,
    }
    rows = await db.repeat(lambda: db.fetch(tenant, "declare_halt", parameters))
    return Declared(*rows[0])


async def halt_tenant(
    db: Database, platform: UUID, tenant: UUID, id_: UUID, *, reason: str, by: str, for_s: float | None = None
) -> Declared | None:
    """As `declare_halt`, by the platform, of any tenant. None: there is no such tenant.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "id": id_, "reason": reason, "by": by, "for_s": for_s}
    rows = await db.repeat(lambda: db.fetch(platform, "halt_tenant", parameters))
    halt, is_new = rows[0]
    return None if halt is None else Declared(halt, is_new)


async def lift_halt(
    db: Database, tenant: UUID, halt: UUID, *, by: str, authority: Authority, only: str | None = None
) -> str:
    """Lift a stop: `lifted`, `unchanged`, `weak`, `suspension` or `absent`, as `lift_halt` in the database says.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "id": halt, "by": by, "authority": int(authority), "only": only}
    rows = await db.repeat(lambda: db.fetch(tenant, "lift_halt", parameters))
    return rows[0][0]


async def list_halts(
    db: Database,
    tenant: UUID,
    *,
    only: str | None = None,
    in_force: bool = False,
    id_: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> Sequence[HaltRow]:
    """Halts of a tenant, newest first; `only` are those that one principal declared or is held back by."""
    before_at, before_id = before or (None, None)
    parameters = {
        "tenant": tenant,
        "only": only,
        "in_force": in_force,
        "id": id_,
        "before_at": before_at,
        "before_id": before_id,
        "limit": limit,
    }
    return await db.repeat(lambda: db.fetch(tenant, "list_halts", parameters, class_row(HaltRow)))


async def platform_halts(db: Database, platform: UUID, *, id_: UUID | None = None, limit: int) -> Sequence[HaltRow]:
    """What the platform has halted, in whichever tenant, newest first."""
    parameters = {"id": id_, "limit": limit}
    return await db.repeat(lambda: db.fetch(platform, "platform_halts", parameters, class_row(HaltRow)))


async def everything_halts(db: Database, tenant: UUID) -> Sequence[HaltRow]:
    """The halts in force of everything, as any tenant may know of them: they name no author."""
    return await db.repeat(lambda: db.fetch(tenant, "everything_halts", {"tenant": tenant}, class_row(HaltRow)))


async def halt_acks(db: Database, tenant: UUID, halt: UUID) -> Sequence[AckRow]:
    """What workers have said of a halt."""
    parameters = {"tenant": tenant, "halt": halt}
    return await db.repeat(lambda: db.fetch(tenant, "halt_acks", parameters, class_row(AckRow)))


async def halt_workers(db: Database, tenant: UUID, halt: UUID) -> Sequence[WorkerRow]:
    """The workers that were at work when it was declared, or have said that they know of it."""
    parameters = {"tenant": tenant, "halt": halt}
    return await db.repeat(lambda: db.fetch(tenant, "halt_workers", parameters, class_row(WorkerRow)))


async def is_held_back(db: Database, tenant: UUID, run: UUID, names: Sequence[str]) -> bool:
    """Whether a halt covers the run, or any of these tools, as an intent would be told.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "run": run, "names": orjson.dumps(list(names)).decode()}
    rows = await db.repeat(lambda: db.fetch(tenant, "is_held_back", parameters))
    return rows[0][0]


async def expire_halts(db: Database) -> int:
    """End halts whose time is up. Answers how many.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    return await db.value("expire_halts", {})


def watch_halts_sync(connection: psycopg.Connection[Any], worker: UUID, acks: Sequence[Ack]) -> list[Halt]:
    """The halts in force; and say, in the same round trip, what there is to say of some. For the thread that renews.

    Raises:
        psycopg.Error: it failed, or its answer was lost.
    """
    said = orjson.dumps(acks).decode() if acks else None
    cursor = connection.execute(query("watch_halts"), {"worker": worker, "acks": said})
    return [Halt(tenant, id_, HaltScope(scope), key) for tenant, id_, scope, key in cursor.fetchall()]
