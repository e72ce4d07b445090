"""What each run of a tenant may do at most: read, set, changed. Whatever task and request allow and people raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.domain.errors import InvalidInput
from holdfast.domain.limits import as_written, read_ceilings
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.content import check_text
from holdfast.service.identity_views import TenantLimitsView
from holdfast.service.manage_tenants import existing_tenant, platform_actor
from holdfast.service.services import Services
from holdfast.store import ceilings as store

LIMITS_MOST = 64
"""So many a tenant has at most: each claim of a run reads all of them."""
NAME_CHARS = 200


async def get_tenant_limits(services: Services, who: Who) -> TenantLimitsView:
    """The limits of the tenant of whoever asks.

    Raises:
        MissingScope: they may not read them.
    """
    who.reach(Scope.TENANT_READ)
    return TenantLimitsView(limits=as_written(await store.get_ceilings(services.db, who.tenant)))


async def set_tenant_limits(services: Services, who: Who, limits: Mapping[str, Any]) -> TenantLimitsView:
    """Set all of them: what is left out is not limited by the tenant. Runs that are under way go on under them.

    Args:
        services: what this process has.
        who: the one who asks.
        limits: by the names of limits, as a request for a run names its own.

    Raises:
        MissingScope: they may not.
        InvalidInput: a name or a number is none, or there are too many.
    """
    who.reach(Scope.TENANT_WRITE)
    found = await store.set_ceilings(services.db, who.tenant, _read(limits), by=who.actor)
    return TenantLimitsView(limits=as_written(found))


async def change_tenant_limits(
    services: Services, who: Who, limits: Mapping[str, Any], *, drop: Sequence[str] = ()
) -> TenantLimitsView:
    """Set these and take away those of `drop`; the others stay. Two who do so at once undo nothing of each other.

    Raises:
        MissingScope: they may not.
        InvalidInput: a name or a number is none, there are too many, or one to be taken away is not there.
    """
    who.reach(Scope.TENANT_WRITE)
    put, before = _read(limits), await store.get_ceilings(services.db, who.tenant)
    for name in drop:
        if name not in before:
            raise InvalidInput(
                f"The tenant has no limit '{name[:NAME_CHARS]}'. It has: {', '.join(sorted(before)) or 'none'}."
            )
    _check_number(len(before.keys() | put.keys()))
    found = await store.set_ceilings(services.db, who.tenant, put, drop=drop, by=who.actor)
    return TenantLimitsView(limits=as_written(found))


async def limit_tenant(services: Services, who: Who, name: str, limits: Mapping[str, Any]) -> TenantLimitsView:
    """Set all the limits of a tenant, as the platform, which does not see those before. Its own may set others.

    Raises:
        MissingScope: they may not.
        NotFound: there is no such tenant.
        InvalidInput: a name or a number is none, or there are too many.
    """
    who.reach(Scope.TENANTS_WRITE)
    id_, put = await existing_tenant(services, name), _read(limits)
    await store.limit_tenant(services.db, id_, put, by=platform_actor(who))
    return TenantLimitsView(limits=as_written(put))


def _read(limits: Mapping[str, Any]) -> dict[str, int]:
    _check_number(len(limits))
    for name in limits:
        if len(check_text(name, what="name of a limit")) > NAME_CHARS:
            raise InvalidInput(f"A limit's name has {len(name)} characters; it may have {NAME_CHARS}.")
    try:
        return read_ceilings(limits)
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def _check_number(count: int) -> None:
    if count > LIMITS_MOST:
        raise InvalidInput(f"A tenant has {LIMITS_MOST} limits at most, and these would be {count}.")
