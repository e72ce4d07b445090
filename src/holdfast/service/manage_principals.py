"""The people and services of a tenant: invite, grant, revoke, disable."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from holdfast.domain.errors import InvalidInput, LastAdmin, NameTaken, NotFound, QuotaExceeded
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import PrincipalKind, Who
from holdfast.domain.rights import Role, Scope
from holdfast.service.content import check_text
from holdfast.service.idempotency import keyed, made_before
from holdfast.service.identity_views import MeView, PrincipalPage, PrincipalView, ReachName, reach_name
from holdfast.service.pages import PAGE, cut
from holdfast.service.services import Services
from holdfast.store import principals
from holdfast.store.hints import QUEUED
from holdfast.store.idempotency import Idempotency
from holdfast.store.principals import PrincipalRow

NAME_CHARS = 100
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


async def invite_principal(
    services: Services,
    who: Who,
    name: str,
    *,
    kind: PrincipalKind = PrincipalKind.PERSON,
    roles: Iterable[Role] = (Role.USER,),
    email: str | None = None,
    idempotency_key: str | None = None,
) -> PrincipalView:
    """Make a person or a service of the tenant. It may do nothing until it has a key, or a token names it.

    With an idempotency key, asking again with the same request answers with the one that the first made, as it is now.

    Raises:
        IdempotencyConflict: the key was used with another request.
        NameTaken: another principal of the tenant has this name.
        InvalidInput: a name, an address or a role does not fit.
    """
    who.reach(Scope.PRINCIPALS_WRITE)
    wanted = frozenset(roles)
    for role in wanted:
        _check_role(who, role)
    name = read_name(name)
    if email is not None and not _EMAIL.fullmatch(email):
        raise InvalidInput("The e-mail address is none: write name@host.")
    said = {"name": name, "kind": kind, "roles": sorted(wanted), "email": email}
    asked = await keyed(services, who, "create_principal", idempotency_key, said)
    made = await made_before(services, who.tenant, asked)
    if made is None:
        made = await _create(services, who, asked, name=name, kind=kind, roles=wanted, email=email)
    return principal_view(await existing_principal(services, who.tenant, made))


async def _create(services: Services, who: Who, asked: Idempotency | None, *, name: str, **more: Any) -> UUID:
    id_ = services.new_id()
    outcome = await principals.create_principal(
        services.db, who.tenant, id_, name=name, by=who.actor, idempotency=asked, **more
    )
    if outcome == "asked_before":  # at this very moment, or by an attempt whose answer was lost
        return await made_before(services, who.tenant, asked) or id_
    if outcome == "too_many":
        raise QuotaExceeded(
            "Your tenant has as many principals as it may have, and none was made. Disable one who is not needed any "
            "more: whoever is disabled does not count."
        )
    if outcome == "taken":
        raise NameTaken(f"There is a principal '{name}' in this tenant. Choose another name, or grant that one a role.")
    return id_


async def grant_role(services: Services, who: Who, principal: UUID, role: Role) -> PrincipalView:
    """Give a principal a role. Given already, nothing changes.

    Raises:
        NotFound: there is no such principal.
    """
    who.reach(Scope.PRINCIPALS_WRITE)
    _check_role(who, role)
    return await _changed(
        services,
        who,
        principal,
        await principals.grant_role(services.db, who.tenant, principal, role, by=who.actor),
    )


async def revoke_role(services: Services, who: Who, principal: UUID, role: Role) -> PrincipalView:
    """Take a role from a principal. What runs for it stops at its next effect where it needed the role.

    Raises:
        NotFound: there is no such principal.
        LastAdmin: nobody could manage the tenant any more.
    """
    who.reach(Scope.PRINCIPALS_WRITE)
    return await _changed(
        services,
        who,
        principal,
        await principals.revoke_role(services.db, who.tenant, principal, role, by=who.actor),
    )


async def disable_principal(services: Services, who: Who, principal: UUID) -> PrincipalView:
    """Let a principal do nothing any more, by any credential. What runs for it stops at its next effect.

    Raises:
        NotFound: there is no such principal.
        LastAdmin: nobody could manage the tenant any more.
    """
    return await _set_disabled(services, who, principal, disabled=True)


async def enable_principal(services: Services, who: Who, principal: UUID) -> PrincipalView:
    """Let a disabled principal act again. What was stopped goes on.

    Raises:
        NotFound: there is no such principal.
        QuotaExceeded: the tenant has as many that are enabled as it may have.
    """
    return await _set_disabled(services, who, principal, disabled=False)


async def list_principals(
    services: Services, who: Who, *, after: str | None = None, limit: int = PAGE
) -> PrincipalPage:
    """Principals by name; `after` is the `next` of the page before."""
    who.reach(Scope.PRINCIPALS_READ)
    rows = await principals.list_principals(services.db, who.tenant, after=after, limit=limit + 1)
    page, more = cut(rows, limit, lambda row: row.name)
    return PrincipalPage(items=[principal_view(row) for row in page], next=more)


async def get_principal(services: Services, who: Who, principal: UUID) -> PrincipalView:
    """One principal.

    Raises:
        NotFound: there is none with this id.
    """
    who.reach(Scope.PRINCIPALS_READ)
    return principal_view(await existing_principal(services, who.tenant, principal))


async def get_me(services: Services, who: Who) -> MeView:
    """Who asks, and what their credential lets them do."""
    row = await existing_principal(services, who.tenant, UUID(who.principal))
    rights: dict[Scope, ReachName] = {scope: reach_name(reach) for scope, reach in sorted(who.rights.items())}
    return MeView(tenant=who.tenant, principal=principal_view(row), rights=rights)


async def find_principal(services: Services, tenant: UUID, name: str) -> PrincipalRow:
    """The principal of this name.

    Raises:
        NotFound: there is none.
    """
    rows = await principals.list_principals(services.db, tenant, name=name, limit=1)
    if not rows:
        raise NotFound(f"There is no principal '{name}' in this tenant. `holdfast principals ls` lists them.")
    return rows[0]


async def existing_principal(services: Services, tenant: UUID, principal: UUID) -> PrincipalRow:
    """The row of a principal.

    Raises:
        NotFound: there is none with this id.
    """
    row = await principals.get_principal(services.db, tenant, principal)
    if row is None:
        raise NotFound(
            "There is no principal with this id. `GET /v1/principals` or `holdfast principals ls` lists them."
        )
    return row


def read_name(name: str) -> str:
    """A name as it is kept.

    Raises:
        InvalidInput: it is empty, too long, or cannot be stored.
    """
    if not 0 < len(check_text(name, what="name").strip()) <= NAME_CHARS:
        raise InvalidInput(f"The name has {len(name)} characters; it needs 1 to {NAME_CHARS}.")
    return name.strip()


def no_principal() -> NotFound:
    """The error that says so."""
    return NotFound("There is no principal with this id. `GET /v1/principals` or `holdfast principals ls` lists them.")


def principal_view(row: PrincipalRow) -> PrincipalView:
    """A principal as readers get it."""
    return PrincipalView(
        id=row.id,
        kind=row.kind,
        name=row.name,
        email=row.email,
        roles=sorted(row.roles),
        disabled=row.disabled_at is not None,
        created_at=row.created_at,
    )


async def _set_disabled(services: Services, who: Who, principal: UUID, *, disabled: bool) -> PrincipalView:
    who.reach(Scope.PRINCIPALS_WRITE)
    change = await principals.set_disabled(services.db, who.tenant, principal, disabled=disabled, by=who.actor)
    return await _changed(services, who, principal, change)


async def _changed(services: Services, who: Who, principal: UUID, change: principals.Change) -> PrincipalView:
    if change == "last_admin":
        raise LastAdmin(
            "This principal is the last administrator of its tenant, and nobody could manage it any more. Make another "
            "one an administrator first."
        )
    if change == "too_many":
        raise QuotaExceeded("Your tenant has as many principals as it may have; disable another one first.")
    view = principal_view(await existing_principal(services, who.tenant, principal))
    services.hints.notify(QUEUED)
    return view


def _check_role(who: Who, role: Role) -> None:
    if role is Role.PLATFORM and who.tenant != PLATFORM_TENANT:
        raise InvalidInput("The role 'platform' belongs to the platform's own tenant.")
