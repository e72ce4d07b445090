"""Budgets in words, for people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from holdfast.cli.screen import clock
from holdfast.domain.budgets import how_long, whose
from holdfast.service.visible import visible

if TYPE_CHECKING:
    from holdfast.service.budget_views import BudgetView, HoldingView, WindowView


def money(unit: str, amount: Decimal) -> str:
    """An amount as people read it."""
    if unit != "usd":
        return f"{amount:,f}"
    return f"-${-amount:f}" if amount < 0 else f"${amount:f}"


def headline(budget: BudgetView) -> str:
    """What a budget is."""
    unit = "" if budget.unit == "usd" else f" {budget.unit}"
    of = (
        f"user '{budget.key_name}'" if budget.scope == "user" and budget.key != "*" else whose(budget.scope, budget.key)
    )
    ended = f"; it ended {clock(budget.ended_at)}" if budget.ended_at is not None else ""
    return visible(
        f"budget {budget.id}, {budget.called}: {money(budget.unit, budget.amount)}{unit} {how_long(budget.per)} "
        f"for {of}{ended}"
    )


def window_line(budget: BudgetView, window: WindowView) -> str:
    """How a window stands."""
    most, spent, held, left = (money(budget.unit, one) for one in (window.most, window.spent, window.held, window.left))
    of = f"{visible(window.owner_name)}: " if budget.key == "*" or budget.per == "run" else ""
    said = f"{of}{spent} of {most} spent, {held} held, {left} left"
    if window.since is not None:
        said += f", since {clock(window.since)}"
    if window.until is not None:
        said += f" until {clock(window.until)}"
    if window.extra:
        said += f"; raised by {money(budget.unit, window.extra)}"
    if window.forecast is not None:
        said += f"; at this pace {money(budget.unit, window.forecast)} at its end"
    if window.overruns:
        said += f"; {window.overruns} steps took {money(budget.unit, window.overran)} more than they had reserved"
    return said


def holding_line(unit: str, holding: HoldingView) -> str:
    """Who holds what."""
    state = holding.run_state or "gone"
    at_work = f"{state}, waits for {holding.waiting_on}" if holding.waiting_on else state
    what = "was taken for" if holding.estimated else "holds"
    return (
        f"run {holding.run} ({at_work}), step {visible(holding.step)}, attempt {holding.attempt}: {what} "
        f"{money(unit, holding.amount)}, since {clock(holding.at)}"
    )
