"""`holdfast budget ls`, `show` and `alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.budgets.telling import headline, holding_line, money, window_line
from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.service import list_budgets as use
from holdfast.service.find_budget import find_budget
from holdfast.service.visible import visible

if TYPE_CHECKING:
    from holdfast.service.budget_views import AlertPage, BudgetPage, BudgetReport
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_budgets(settings: Settings, *, ended: bool, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of budgets."""

    async def act(services: Services) -> BudgetPage:
        return await use.list_budgets(services, services.caller, ended=ended, cursor=after, limit=limit)

    page = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    right = ("most", "spent", "held", "left", "at its end")
    made = table("id", "budget", "whose", *right, "until", right=right)
    for one in page.items:
        name = visible(f"{one.scope}:{one.key_name}/{one.per}/{one.unit}" if one.key else one.called)
        if not one.windows:
            made.add_row(
                str(one.id), name, "", money(one.unit, one.amount), "", "", "", "", _ended(one.ended_at is None)
            )
        for window in one.windows:
            amounts = [money(one.unit, each) for each in (window.most, window.spent, window.held, window.left)]
            pace = "" if window.forecast is None else money(one.unit, window.forecast)
            until = clock(window.until) if one.ended_at is None else "ended"
            made.add_row(str(one.id), name, visible(window.owner_name), *amounts, pace, until)
        if one.more_windows:
            made.add_row("", "", "and more", "", "", "", "", "", "")
    out().print(made)
    out().print(f"Days begin in the time zone {page.time_zone}.", style="dim", markup=False)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def show_budget(settings: Settings, budget: str, *, owner: str | None, as_json: bool) -> None:
    """Print one budget in full.

    Raises:
        NotFound: there is no such budget or owner.
    """

    async def act(services: Services) -> BudgetReport:
        id_ = await find_budget(services, services.caller, budget)
        return await use.show_budget(services, services.caller, id_, owner=owner)

    report = with_services(settings, act)
    if as_json:
        print_json(report)
        return
    lines = [headline(report)]
    lines += [f"  {window_line(report, one)}" for one in report.all_windows or report.windows]
    held = [one for one in report.holdings if not one.estimated]
    guessed = [one for one in report.holdings if one.estimated]
    lines += ["held by:", *(f"  {holding_line(report.unit, one)}" for one in held)] if held else ["nothing is held"]
    if guessed:
        lines += ["settled at their bound, as nobody knows what they used (`holdfast budget reconcile`):"]
        lines += [f"  {holding_line(report.unit, one)}" for one in guessed]
    if report.overruns:
        lines += ["used more than they had reserved:"]
    lines += [f"  run {one.run}, step {visible(one.step)}, {clock(one.at)}: {one.why}" for one in report.overruns]
    lines += [f"alert, {clock(one.at)}: {visible(one.said)}" for one in report.alerts]
    for line in lines:
        out().print(line, markup=False)


def list_alerts(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of alerts."""

    async def act(services: Services) -> AlertPage:
        return await use.list_budget_alerts(services, services.caller, cursor=after, limit=limit)

    page = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    made = table("at", "what", "said")
    for one in page.items:
        made.add_row(clock(one.at), one.what, visible(one.said))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def _ended(in_force: bool) -> str:
    return "-" if in_force else "ended"
