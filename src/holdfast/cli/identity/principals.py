"""`holdfast principals ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import typer

from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role
from holdfast.service import manage_principals as use

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from holdfast.domain.principal import Who
    from holdfast.service.identity_views import PrincipalPage, PrincipalView
    from holdfast.service.services import Services
    from holdfast.settings import Settings

    Change = Callable[[Services, Who, UUID], Awaitable[PrincipalView]]


def list_principals(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of principals by name."""

    async def act(services: Services) -> PrincipalPage:
        return await use.list_principals(services, services.caller, after=after, limit=limit)

    page = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    made = table("id", "name", "kind", "roles", "created")
    for one in page.items:
        state = " (disabled)" if one.disabled else ""
        made.add_row(str(one.id), f"{one.name}{state}", one.kind, ", ".join(one.roles) or "-", clock(one.created_at))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def invite(
    settings: Settings, name: str, *, roles: Sequence[str], service: bool, email: str | None, as_json: bool
) -> None:
    """Make a person or a service.

    Raises:
        NameTaken: another of the tenant has this name.
    """
    kind = PrincipalKind.SERVICE if service else PrincipalKind.PERSON
    given = [role_of(role) for role in roles]

    async def act(services: Services) -> PrincipalView:
        return await use.invite_principal(services, services.caller, name, kind=kind, roles=given, email=email)

    _print(with_services(settings, act), as_json=as_json)


def grant(settings: Settings, name: str, role: str, *, as_json: bool) -> None:
    """Give a role."""
    wanted = role_of(role)
    _change(settings, name, lambda services, who, id_: use.grant_role(services, who, id_, wanted), as_json=as_json)


def revoke(settings: Settings, name: str, role: str, *, as_json: bool) -> None:
    """Take a role.

    Raises:
        LastAdmin: nobody could manage the tenant any more.
    """
    wanted = role_of(role)
    _change(settings, name, lambda services, who, id_: use.revoke_role(services, who, id_, wanted), as_json=as_json)


def disable(settings: Settings, name: str, *, as_json: bool) -> None:
    """Let a principal do nothing any more.

    Raises:
        LastAdmin: nobody could manage the tenant any more.
    """
    _change(settings, name, use.disable_principal, as_json=as_json)


def enable(settings: Settings, name: str, *, as_json: bool) -> None:
    """Let a disabled principal act again."""
    _change(settings, name, use.enable_principal, as_json=as_json)


async def principal_id(services: Services, reference: str) -> UUID:
    """The principal that `reference` names: an id, or a name.

    Raises:
        NotFound: it is neither.
    """
    try:
        return UUID(reference)
    except ValueError:
        return (await use.find_principal(services, services.caller.tenant, reference)).id


def role_of(text: str) -> Role:
    """The role of this name."""
    if text not in set(Role):
        raise typer.BadParameter(f"It is one of {', '.join(Role)}.", param_hint="ROLE")
    return Role(text)


def _change(settings: Settings, name: str, change: Change, *, as_json: bool) -> None:
    async def act(services: Services) -> PrincipalView:
        return await change(services, services.caller, await principal_id(services, name))

    _print(with_services(settings, act), as_json=as_json)


def _print(view: PrincipalView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    state = ", disabled" if view.disabled else ""
    out().print(f"{view.kind} {view.name}: {', '.join(view.roles) or 'no role'}{state}", markup=False)
