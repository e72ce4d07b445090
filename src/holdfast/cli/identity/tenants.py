"""`holdfast tenants ls` and `create`, and `audit ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.screen import clock, err, out, plain, print_json, table
from holdfast.cli.services import with_services
from holdfast.service import manage_tenants as use
from holdfast.service.names import names_of
from holdfast.service.read_audit_log import read_audit_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.service.identity_views import AuditPage, NewTenantView, TenantPage
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_tenants(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of tenants."""

    async def act(services: Services) -> TenantPage:
        return await use.list_tenants(services, services.caller, after=after, limit=limit)

    page = with_services(of_platform(settings), act)
    if as_json:
        print_json(page)
        return
    made = table("id", "tenant", "state", "created")
    for one in page.items:
        made.add_row(str(one.id), one.name, one.state, clock(one.created_at))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def create_tenant(settings: Settings, name: str, *, admin: str, as_json: bool) -> None:
    """Create a tenant with its first administrator, and print that one's key, this once.

    Raises:
        NameTaken: another tenant has this name.
    """

    async def act(services: Services) -> NewTenantView:
        return await use.create_tenant(services, services.caller, name, admin=admin)

    made = with_services(of_platform(settings), act)
    if as_json:
        print_json(made)
        return
    note = f"tenant {made.name}, with {made.admin.name} as its administrator, whose key is shown this once:"
    err().print(note, markup=False)
    out().print(made.key.secret, markup=False)


def list_audit_log(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of the tenant's audit log, newest first."""

    async def act(services: Services) -> tuple[AuditPage, Mapping[str, str]]:
        who = services.caller
        page = await read_audit_log(services, who, cursor=after, limit=limit)
        actors = {actor for entry in page.items for actor in (entry.actor, entry.target)}
        return page, await names_of(services, who.tenant, actors)

    page, names = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    made = table("at", "who", "did", "to", "details")
    for entry in page.items:
        made.add_row(clock(entry.at), names[entry.actor], entry.action, names[entry.target], plain(entry.details))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def of_platform(settings: Settings) -> Settings:
    """These settings, acting in the platform's own tenant."""
    return settings.model_copy(update={"tenant": "platform"})
