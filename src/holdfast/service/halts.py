"""Stop what is under way, let it go on, and see what came of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from holdfast.domain.errors import InvalidInput, MissingScope, NotFound, Outranked
from holdfast.domain.halts import Authority, HaltScope
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Reach, Scope
from holdfast.service.content import check_text
from holdfast.service.existing import existing_run
from holdfast.service.halt_views import HaltPage, HaltReport, HaltView, HaltWorkerView, InFlightView
from holdfast.service.manage_principals import existing_principal
from holdfast.service.manage_sessions import existing_session
from holdfast.service.manage_tenants import platform_actor
from holdfast.service.names import names_of
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.store import halts as store
from holdfast.store import tenants
from holdfast.store.halts import AckRow, Declared, HaltRow, WorkerRow
from holdfast.store.hints import HALTS, QUEUED

HALT_KEY_MOST = 256
HALT_MOST_S = 366 * 24 * 3600.0

_AUTHORITIES: Mapping[int, Literal["own", "operator", "admin", "platform"]] = {
    Authority.OWN: "own",
    Authority.OPERATOR: "operator",
    Authority.ADMIN: "admin",
    Authority.PLATFORM: "platform",
}


def authority_of(who: Who) -> Authority:
    """What they may lift: what was declared with no more.

    Raises:
        MissingScope: they may not halt at all.
    """
    if who.reach(Scope.HALTS_WRITE) is Reach.OWN:
        return Authority.OWN
    if is_platform(who):
        return Authority.PLATFORM
    return Authority.ADMIN if who.rights.get(Scope.TENANT_WRITE) is Reach.TENANT else Authority.OPERATOR


def is_platform(who: Who) -> bool:
    """Whether they manage tenants."""
    return who.tenant == PLATFORM_TENANT and Scope.TENANTS_WRITE in who.rights


async def declare_halt(
    services: Services, who: Who, scope: HaltScope, key: str, *, reason: str, for_s: float | None = None
) -> tuple[HaltReport, bool]:
    """Stop something: no intent that it covers commits once this returns. What is under way is cancelled, or finishes.

    Where it is in force already, that one is answered: for as long as the longer of both, and to be lifted with the
    authority of the stronger. Who halts what is theirs has a halt of their own, whoever else has halted it.

    Returns: the halt, and whether it is new.

    Raises:
        NotFound: there is no such run, session, principal or tenant, or they may not see it.
        MissingScope: they may not halt this.
        InvalidInput: no reason is given, or the key does not fit the scope.
    """
    authority = authority_of(who)
    if not check_text(reason, what="reason").strip():
        raise InvalidInput("Say why: whoever comes upon the halt reads it.")
    check_text(key, what="key")
    if scope is HaltScope.TENANT:
        declared, tenant = await _halt_tenant(services, who, key, authority, reason, for_s)
    else:
        tenant = who.tenant
        declared = await store.declare_halt(
            services.db,
            tenant,
            services.new_id(),
            scope,
            await _target(services, who, scope, key),
            reason=reason,
            by=who.principal,
            authority=authority,
            for_s=for_s,
        )
    _announce(services)
    return await _report(services, await _row(services, tenant, declared.id)), declared.is_new


async def lift_halt(services: Services, who: Who, halt: UUID) -> HaltReport:
    """Let what it held back go on, as far as no other halt holds it. Lifting it again changes nothing.

    Raises:
        NotFound: there is no such halt, or they may not see it.
        Outranked: its author had more authority.
        InvalidInput: it belongs to a suspended tenant.
    """
    row = await _visible(services, who, halt, Scope.HALTS_WRITE)
    only = who.only(Scope.HALTS_WRITE)
    by = who.principal if row.tenant == who.tenant else platform_actor(who)
    outcome = await store.lift_halt(services.db, row.tenant, halt, by=by, authority=authority_of(who), only=only)
    match outcome:
        case "absent":
            raise _no_halt()
        case "weak":
            raise Outranked(
                f"This halt was declared with the authority '{_AUTHORITIES[row.authority]}'; lifting it takes at least "
                "that. Ask whoever declared it."
            )
        case "suspension":
            raise InvalidInput("This halt is part of the tenant's suspension: resume the tenant.")
        case _:
            _announce(services)
    return await _report(services, await _row(services, row.tenant, halt))


async def list_halts(
    services: Services, who: Who, *, in_force: bool = False, cursor: str | None = None, limit: int = PAGE
) -> HaltPage:
    """A page of halts, newest first; for the platform's people what the platform has halted, in whichever tenant.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    only = who.only(Scope.HALTS_READ)
    if is_platform(who):
        rows = await store.platform_halts(services.db, who.tenant, limit=limit)
        shown = [row for row in rows if not in_force or row.lifted_at is None]
        return HaltPage(items=await _views(services, shown), next=None)
    before = ListCursor.place(cursor)
    rows = await store.list_halts(services.db, who.tenant, only=only, in_force=in_force, before=before, limit=limit + 1)
    page, more = cut(rows, limit, lambda row: ListCursor(row.at, row.id))
    if before is None and only is None:
        # What holds a tenant back is no secret from it, though it be the platform's.
        page = [*await store.everything_halts(services.db, who.tenant), *page]
    return HaltPage(items=await _views(services, page), next=more)


async def get_halt(services: Services, who: Who, halt: UUID) -> HaltReport:
    """One halt, with what workers say of it.

    Raises:
        NotFound: there is no such halt, or they may not see it.
    """
    return await _report(services, await _visible(services, who, halt, Scope.HALTS_READ))


async def _halt_tenant(
    services: Services, who: Who, name: str, authority: Authority, reason: str, for_s: float | None
) -> tuple[Declared, UUID]:
    if authority is Authority.OWN:
        raise _not_yours()
    tenant = await tenants.find_tenant(services.db, name) if name else who.tenant
    if tenant is not None and tenant == who.tenant and tenant != PLATFORM_TENANT:
        declared = await store.declare_halt(
            services.db,
            tenant,
            services.new_id(),
            HaltScope.TENANT,
            "",
            reason=reason,
            by=who.principal,
            authority=authority,
            for_s=for_s,
        )
        return declared, tenant
    if not is_platform(who):
        raise MissingScope.of(Scope.TENANTS_WRITE)
    if tenant is None:
        raise NotFound(f"There is no tenant '{name[:63]}'. `GET /v1/tenants` or `holdfast tenants ls` lists them.")
    found = await store.halt_tenant(
        services.db, who.tenant, tenant, services.new_id(), reason=reason, by=platform_actor(who), for_s=for_s
    )
    if found is None:
        raise NotFound(f"There is no tenant '{name[:63]}'. `GET /v1/tenants` or `holdfast tenants ls` lists them.")
    return found, tenant


async def _target(services: Services, who: Who, scope: HaltScope, key: str) -> str:
    """The key as it is stored, once it is clear that they may halt it."""
    match scope:
        case HaltScope.EVERYTHING:
            if not is_platform(who):
                raise MissingScope.of(Scope.TENANTS_WRITE)
            if key:
                raise InvalidInput("To halt everything, leave the key out.")
            return ""
        case HaltScope.RUN:
            return str((await existing_run(services, who, _id(key), Scope.HALTS_WRITE)).id)
        case HaltScope.SESSION:
            return str((await existing_session(services, who, _id(key), Scope.HALTS_WRITE)).id)
        case HaltScope.USER:
            only = who.only(Scope.HALTS_WRITE)
            if only is not None and key != only:
                raise NotFound("There is no principal with this id.")
            return str((await existing_principal(services, who.tenant, _id(key))).id)
        case _:
            if who.reach(Scope.HALTS_WRITE) is Reach.OWN:
                raise _not_yours()
            if not key.strip():
                raise InvalidInput(f"Name the {scope} to halt.")
            return key


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def _not_yours() -> MissingScope:
    return MissingScope(
        "You may halt your own runs, your own sessions, and all runs that are for you. For tasks, tools, models and "
        "the tenant ask an operator or an administrator."
    )


def _announce(services: Services) -> None:
    services.hints.notify(HALTS)
    services.hints.notify(QUEUED)


async def _visible(services: Services, who: Who, halt: UUID, scope: Scope) -> HaltRow:
    """The row, as far as this scope of theirs reaches."""
    only = who.only(scope)
    if is_platform(who):
        rows = await store.platform_halts(services.db, who.tenant, id_=halt, limit=1)
    else:
        rows = await store.list_halts(services.db, who.tenant, only=only, id_=halt, limit=1)
    if not rows:
        raise _no_halt()
    return rows[0]


async def _row(services: Services, tenant: UUID, halt: UUID) -> HaltRow:
    return (await store.list_halts(services.db, tenant, id_=halt, limit=1))[0]


def _no_halt() -> NotFound:
    return NotFound("There is no halt with this id. `GET /v1/halts` or `holdfast halt ls` lists them.")


async def _views(services: Services, rows: Sequence[HaltRow]) -> list[HaltView]:
    names = {row.tenant: dict[str, str]() for row in rows}
    for tenant, known in names.items():
        known.update(await names_of(services, tenant, {row.by for row in rows if row.tenant == tenant}))
    return [HaltView(**_fields(row, names[row.tenant].get(row.by, row.by), await _key(services, row))) for row in rows]


async def _key(services: Services, row: HaltRow) -> str:
    if row.scope != HaltScope.TENANT:
        return row.key
    found = await tenants.get_tenant(services.db, row.tenant)
    return "" if found is None else found.name


def _fields(row: HaltRow, name: str, key: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "scope": HaltScope(row.scope),
        "key": key,
        "reason": row.reason,
        "by": row.by,
        "by_name": name,
        "authority": _AUTHORITIES[row.authority],
        "at": row.at,
        "expires_at": row.expires_at,
        "lifted_at": row.lifted_at,
        "lifted_by": row.lifted_by,
        "in_force": row.lifted_at is None,
    }


async def _report(services: Services, row: HaltRow) -> HaltReport:
    [view] = await _views(services, [row])
    # Acknowledgements first: whoever gives one in between is then counted as silent, and not as done.
    acks = await store.halt_acks(services.db, row.tenant, row.id)
    workers = await store.halt_workers(services.db, row.tenant, row.id)
    heard = {ack.worker for ack in acks}
    silent = [_silent(one) for one in workers if one.worker not in heard]
    in_flight = _in_flight(acks, workers) if row.lifted_at is None else []
    waits = any(one.alive for one in silent) or any(one.alive for one in in_flight)
    return HaltReport(
        **view.model_dump(),
        last_dispatch_at=_latest(ack.dispatched_at for ack in acks),
        last_cancelled_at=_latest(ack.cancelled_at for ack in acks),
        last_effect_at=_latest(ack.finished_at for ack in acks),
        workers=len(acks),
        silent=silent,
        in_flight=in_flight,
        settled=not waits,
    )


def _silent(row: WorkerRow) -> HaltWorkerView:
    return HaltWorkerView(worker=row.worker, host=row.host, pid=row.pid, alive=row.alive)


def _in_flight(acks: Sequence[AckRow], workers: Sequence[WorkerRow]) -> list[InFlightView]:
    alive = {one.worker for one in workers if one.alive}
    return [
        InFlightView(worker=ack.worker, host=ack.host, pid=ack.pid, alive=ack.worker in alive, **step)
        for ack in acks
        for step in orjson.loads(ack.in_flight)
    ]


def _latest(times: Any) -> datetime | None:
    return max((at for at in times if at is not None), default=None)
