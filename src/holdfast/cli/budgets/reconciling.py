"""`holdfast budget reconcile`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from holdfast.cli.budgets.telling import money
from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.service import reconcile_budgets as use
from holdfast.service.visible import visible

if TYPE_CHECKING:
    from holdfast.service.budget_views import ReconcileView, SettledView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def reconcile(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> int:
    """List reservations to look into, and windows that are not what is reserved of them. Returns the exit code."""

    async def act(services: Services) -> ReconcileView:
        return await use.reconcile_budgets(services, services.caller, cursor=after, limit=limit)

    view = with_services(settings, act)
    code = ExitCode.FAILED if view.wrong else ExitCode.OK
    if as_json:
        print_json(view)
        return code
    made = table("run", "step", "attempt", "since", "what", "amounts")
    for one in view.items:
        what = "estimated" if one.estimated else f"held, the run is {one.run_state or 'gone'}"
        amounts = ", ".join(f"{money(each.unit, each.amount)} of {visible(each.called)}" for each in one.amounts)
        made.add_row(str(one.run), visible(one.step), str(one.attempt), clock(one.at), what, amounts)
    out().print(made)
    for wrong in view.wrong:
        out().print(
            f"wrong: {visible(wrong.called)} {visible(wrong.owner)}: {wrong.held:f} is held, {wrong.reserved:f} is "
            f"reserved (budget {wrong.budget})",
            style="red",
            markup=False,
        )
    if not view.wrong:
        out().print("What is held is what is reserved.")
    if view.next:
        out().print(f"More: --after {view.next}", style="dim")
    return code


def settle(
    settings: Settings,
    run: UUID,
    step: str,
    attempt: int,
    *,
    usd: str | None,
    tokens: str | None,
    requests: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Settle one reservation by better knowledge.

    Raises:
        NotFound: there is no such reservation.
        UnderWay: its run is at work.
    """

    async def act(services: Services) -> SettledView:
        return await use.settle_reservation(
            services, services.caller, run, step, attempt, usd=usd, tokens=tokens, requests=requests, reason=reason
        )

    view = with_services(settings, act)
    print_json(view) if as_json else out().print(f"settled: run {view.run}, step {view.step}", markup=False)
