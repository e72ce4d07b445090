"""Tenants, managed by the platform."""

from __future__ import annotations

import re

from holdfast.domain.errors import InvalidInput, NameTaken, NotFound
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, Scope, rights_of
from holdfast.service.identity_views import NewTenantView, TenantPage, TenantView
from holdfast.service.manage_keys import create_key
from holdfast.service.manage_principals import invite_principal
from holdfast.service.services import Services
from holdfast.store import tenants

PAGE = 50
PAGE_MOST = 200
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


async def create_tenant(services: Services, who: Who, name: str, *, admin: str = "admin") -> NewTenantView:
    """Make a tenant with its first administrator, whose key is in the answer and nowhere else.

    Whoever made that key could use it. So the tenant's own audit log begins by naming them.

    Raises:
        NameTaken: another tenant has this name.
        InvalidInput: the name does not fit.
    """
    who.reach(Scope.TENANTS_WRITE)
    if not _NAME.fullmatch(name):
        raise InvalidInput("A tenant's name has 1 to 63 small letters, digits and hyphens, and begins with a letter.")
    id_ = services.new_id()
    if await tenants.create_tenant(services.db, id_, name=name, by=_platform(who)) == "taken":
        raise NameTaken(f"There is a tenant '{name}'. Choose another name.")
    founder = Who(id_, _platform(who), rights_of([Role.ADMIN]))
    person = await invite_principal(services, founder, admin, roles=[Role.ADMIN])
    key = await create_key(services, founder, principal=person.id, name="first")
    view = await get_tenant(services, who, name)
    return NewTenantView(**view.model_dump(), admin=person, key=key)


async def get_tenant(services: Services, who: Who, name: str) -> TenantView:
    """One tenant by name.

    Raises:
        NotFound: there is none.
    """
    who.reach(Scope.TENANTS_READ)
    id_ = await tenants.find_tenant(services.db, name)
    found = await tenants.get_tenant(services.db, id_) if id_ is not None else None
    if found is None:
        raise NotFound(f"There is no tenant '{name[:63]}'. `GET /v1/tenants` or `holdfast tenants ls` lists them.")
    return _view(found)


async def list_tenants(services: Services, who: Who, *, after: str | None = None, limit: int = PAGE) -> TenantPage:
    """Tenants by name; `after` is the `next` of the page before."""
    who.reach(Scope.TENANTS_READ)
    rows = await tenants.list_tenants(services.db, after=after, limit=limit + 1)
    page = rows[:limit]
    return TenantPage(items=[_view(row) for row in page], next=page[-1].name if len(rows) > limit else None)


def _platform(who: Who) -> str:
    """How a tenant's log calls somebody of the platform."""
    return f"platform:{who.principal}"


def _view(row: tenants.TenantRow) -> TenantView:
    return TenantView(id=row.id, name=row.name, state=row.state, created_at=row.created_at)
