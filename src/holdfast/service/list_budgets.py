"""Budgets as they stand: what is spent, held and left, and one in full."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.budget_views import AlertPage, BudgetPage, BudgetReport, BudgetView
from holdfast.service.budget_words import Naming
from holdfast.service.find_budget import existing_budget, owner_of
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.store import budgets as store
from holdfast.store.budget_rows import BudgetRow, WindowRow

WINDOWS = 20
"""How many windows of a budget a list has."""
REPORT_MOST = 200


async def list_budgets(
    services: Services, who: Who, *, ended: bool = False, cursor: str | None = None, limit: int = PAGE
) -> BudgetPage:
    """A page of budgets, newest first, each with its windows that are now.

    Args:
        services: what this process has.
        who: the one who asks.
        ended: those that have ended too.
        cursor: the `next` of the page before.
        limit: how many.

    Raises:
        MissingScope: they may not read budgets.
        InvalidCursor: `cursor` was not made by this list.
    """
    who.reach(Scope.BUDGETS_READ)
    before = ListCursor.place(cursor)
    rows = await store.list_budgets(services.db, who.tenant, in_force=not ended, before=before, limit=limit + 1)
    page, more = cut(rows, limit, lambda row: ListCursor(row.created_at, row.id))
    zone = await store.get_time_zone(services.db, who.tenant)
    return BudgetPage(items=await budget_views(services, who, page), next=more, time_zone=zone)


async def budget_views(services: Services, who: Who, rows: Iterable[BudgetRow]) -> list[BudgetView]:
    """Budgets with their windows that are now."""
    budgets = list(rows)
    if not budgets:
        return []
    windows = defaultdict[UUID, list[WindowRow]](list)
    for one in await store.list_current_windows(
        services.db, who.tenant, [row.id for row in budgets], each=WINDOWS + 1
    ):  # fmt: skip
        windows[one.budget].append(one)
    actors = {name for row in budgets for name in _actors(row, windows[row.id])}
    naming = await Naming.of(services, who.tenant, actors)
    return [
        naming.budget(row, windows[row.id][:WINDOWS], more=len(windows[row.id]) > WINDOWS) for row in budgets
    ]  # fmt: skip


async def show_budget(services: Services, who: Who, budget: UUID, *, owner: str | None = None) -> BudgetReport:
    """One budget with earlier windows, who holds what of it, its overruns and alerts; `owner`: of that one only.

    Raises:
        NotFound: there is no such budget, or no such owner.
        MissingScope: they may not read budgets.
    """
    row = await existing_budget(services, who, budget)
    whose = owner and await owner_of(services, who, row, owner, Scope.BUDGETS_READ)
    return await budget_report(services, who, row, owner=whose or None)


async def budget_report(services: Services, who: Who, row: BudgetRow, *, owner: str | None) -> BudgetReport:
    """A budget in full, for whoever is known to see it; `owner` as it is stored: of that one only."""
    asked = (services.db, who.tenant, row.id)
    windows = await store.list_budget_windows(*asked, owner=owner, limit=REPORT_MOST)
    holdings = await store.list_holdings(*asked, owner=owner, limit=REPORT_MOST)
    overruns = await store.list_overruns(*asked, owner=owner, limit=REPORT_MOST)
    alerts = await store.list_budget_alerts(services.db, who.tenant, budget=row.id, owner=owner, limit=REPORT_MOST)
    [view] = await budget_views(services, who, [row])
    owners = {one.owner for part in (windows, holdings, overruns, alerts) for one in part}
    naming = await Naming.of(services, who.tenant, owners)
    return BudgetReport(
        **view.model_dump(),
        all_windows=[naming.window(row, one) for one in windows],
        holdings=[naming.holding(row, one) for one in holdings],
        overruns=[naming.overrun(row, one) for one in overruns],
        alerts=[naming.alert(one) for one in alerts],
    )


async def list_budget_alerts(
    services: Services, who: Who, *, cursor: str | None = None, limit: int = PAGE
) -> AlertPage:
    """A page of what budgets had come to, newest first.

    Raises:
        MissingScope: they may not read budgets.
        InvalidCursor: `cursor` was not made by this list.
    """
    who.reach(Scope.BUDGETS_READ)
    before = ListCursor.place(cursor)
    rows = await store.list_budget_alerts(services.db, who.tenant, before=before, limit=limit + 1)
    page, more = cut(rows, limit, lambda row: ListCursor(row.at, row.id))
    naming = await Naming.of(services, who.tenant, {row.owner for row in page} | {row.key for row in page})
    return AlertPage(items=[naming.alert(row) for row in page], next=more)


def _actors(row: BudgetRow, windows: Iterable[WindowRow]) -> set[str]:
    return {row.created_by, row.changed_by, row.key, *(one.owner for one in windows)}
