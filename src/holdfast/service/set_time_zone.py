"""In which time zone a tenant's days begin, for its budgets."""

from __future__ import annotations

from holdfast.domain.errors import InvalidInput
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.budget_views import TimeZoneView
from holdfast.service.content import check_text
from holdfast.service.services import Services
from holdfast.store import budgets as store
from holdfast.store.hints import QUEUED

ZONE_MOST = 64


async def get_time_zone(services: Services, who: Who) -> TimeZoneView:
    """The tenant's zone.

    Raises:
        MissingScope: they may not read budgets.
    """
    who.reach(Scope.BUDGETS_READ)
    return TimeZoneView(time_zone=await store.get_time_zone(services.db, who.tenant))


async def set_time_zone(services: Services, who: Who, zone: str) -> TimeZoneView:
    """Begin the tenant's days, weeks and months, and its hours, in another zone. Windows under way end: others begin.

    Raises:
        MissingScope: they may not.
        InvalidInput: PostgreSQL knows no such zone.
    """
    who.reach(Scope.TENANT_WRITE)
    known = len(check_text(zone, what="time zone")) <= ZONE_MOST and await store.set_time_zone(
        services.db, who.tenant, zone, by=who.actor
    )
    if not known:
        raise InvalidInput(f"'{zone[:ZONE_MOST]}' is no time zone. Write one as Europe/Berlin or UTC.")
    services.hints.notify(QUEUED)
    return TimeZoneView(time_zone=zone)
