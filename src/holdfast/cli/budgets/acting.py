"""`holdfast budget set`, `raise`, `rm` and `zone`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from holdfast.cli.budgets.telling import headline, window_line
from holdfast.cli.screen import out, print_json
from holdfast.cli.services import with_services
from holdfast.domain.budgets import Allowance, read_scope
from holdfast.service import set_budget as use
from holdfast.service.find_budget import find_budget
from holdfast.service.set_time_zone import get_time_zone, set_time_zone

if TYPE_CHECKING:
    from holdfast.service.budget_views import BudgetReport, BudgetView, TimeZoneView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def set_budget(settings: Settings, scope: str, allowance: str, *, as_json: bool) -> None:
    """Say what may be spent.

    Raises:
        NotFound: there is no such user or session.
    """
    try:
        (kind, key), given = read_scope(scope), Allowance.parse(allowance)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    async def act(services: Services) -> BudgetView:
        view, _ = await use.set_budget(services, services.caller, kind, key, given)
        return view

    _tell(with_services(settings, act), as_json=as_json)


def raise_budget(settings: Settings, budget: str, more: str, *, owner: str, reason: str, as_json: bool) -> None:
    """Let more be spent in the window that is now.

    Raises:
        NotFound: there is no such budget or owner.
    """

    async def act(services: Services) -> BudgetReport:
        id_ = await find_budget(services, services.caller, budget)
        return await use.raise_budget(services, services.caller, id_, more, owner=owner, reason=reason)

    report = with_services(settings, act)
    if as_json:
        print_json(report)
        return
    out().print(headline(report), markup=False)
    for window in report.all_windows[:1]:
        out().print(f"  {window_line(report, window)}", markup=False)


def end_budget(settings: Settings, budget: str, *, as_json: bool) -> None:
    """End a budget.

    Raises:
        NotFound: there is no such budget.
    """

    async def act(services: Services) -> BudgetView:
        return await use.end_budget(services, services.caller, await find_budget(services, services.caller, budget))

    view = with_services(settings, act)
    print_json(view) if as_json else out().print(f"ended: {headline(view)}", markup=False)


def time_zone(settings: Settings, zone: str | None, *, as_json: bool) -> None:
    """Say where the tenant's days begin, once they do so there if a zone is given."""

    async def act(services: Services) -> TimeZoneView:
        if zone is None:
            return await get_time_zone(services, services.caller)
        return await set_time_zone(services, services.caller, zone)

    view = with_services(settings, act)
    print_json(view) if as_json else out().print(view.time_zone, markup=False)


def _tell(view: BudgetView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    out().print(headline(view), markup=False)
    for window in view.windows:
        out().print(f"  {window_line(view, window)}", markup=False)
