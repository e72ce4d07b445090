"""Rows of budgets as readers get them: amounts in their units, and names for ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from holdfast.domain.budgets import called, display, forecast, of_how_long, whose
from holdfast.domain.money import usd
from holdfast.service.budget_views import AlertView, BudgetView, HoldingView, OverrunView, WindowView
from holdfast.service.names import names_of
from holdfast.service.services import Services
from holdfast.store.budget_rows import AlertRow, BudgetRow, Called, DriftRow, HoldingRow, OverrunRow, WindowRow

Kind: TypeAlias = BudgetRow | AlertRow | DriftRow | Called
"""What of a budget says how its amounts and owners are read."""


def called_of(kind: Kind) -> str:
    """What it is called: `tenant/day/usd`."""
    return called(kind.scope, kind.key, kind.unit, kind.per)


def amount_of(unit: str, amount: int) -> Decimal:
    """An amount in the unit itself: dollars, not millionths."""
    return usd(amount) if unit == "usd" else Decimal(amount)


def moment_of(per: str, since: datetime) -> datetime | None:
    """When a window began; None where it has no beginning."""
    return None if per in {"run", "ever"} else since


class Naming:
    """What the owners of budgets, and those who set them, are called."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    @classmethod
    async def of(cls, services: Services, tenant: UUID, actors: Iterable[str]) -> Naming:
        """The names of these actors, as far as they are principals."""
        return cls(await names_of(services, tenant, set(actors)))

    def actor(self, actor: str) -> str:
        """What somebody is called."""
        return self._names.get(actor, actor)

    def owner(self, kind: Kind, owner: str) -> str:
        """What the owner of a window is called."""
        return self._names.get(owner, owner) if kind.scope == "user" and kind.per != "run" else owner

    def key(self, kind: Kind) -> str:
        """What the key of a budget is called."""
        return self._names.get(kind.key, kind.key) if kind.scope == "user" else kind.key

    def window(self, budget: BudgetRow, row: WindowRow) -> WindowView:
        """A window; its forecast and its end only where it is now."""
        is_now = row.since == budget.since

        def shown(amount: int) -> Decimal:
            return amount_of(budget.unit, amount)

        expected = None
        if is_now and budget.until is not None and budget.ended_at is None:
            began = max(row.since, budget.created_at)
            expected = forecast(row.spent, began, budget.until, budget.asked_at, budget.until - row.since)
        return WindowView(
            owner=row.owner,
            owner_name=self.owner(budget, row.owner),
            since=moment_of(budget.per, row.since),
            until=budget.until if is_now else None,
            most=shown(row.most),
            extra=shown(row.extra),
            spent=shown(row.spent),
            held=shown(row.held),
            left=shown(row.most - row.spent - row.held),
            forecast=None if expected is None else shown(expected),
            overruns=row.overruns,
            overran=shown(row.overran),
        )

    def budget(self, row: BudgetRow, windows: Sequence[WindowRow], *, more: bool) -> BudgetView:
        """A budget with its windows that are now: of one owner it has one, also where nothing is spent yet."""
        has_one = row.key != "*" and row.per != "run"
        if has_one and not windows:
            windows = [unspent(row, row.key)]
        return BudgetView(
            id=row.id,
            called=called_of(row),
            scope=row.scope,
            key=row.key,
            key_name=self.key(row),
            unit=row.unit,
            per=row.per,
            amount=amount_of(row.unit, row.amount),
            created_at=row.created_at,
            created_by=self.actor(row.created_by),
            changed_at=row.changed_at,
            changed_by=self.actor(row.changed_by),
            ended_at=row.ended_at,
            windows=[self.window(row, one) for one in windows],
            more_windows=more,
        )

    def holding(self, budget: BudgetRow, row: HoldingRow) -> HoldingView:
        """What a step holds."""
        return HoldingView(
            run=row.run,
            task=row.task,
            step=row.step,
            attempt=row.attempt,
            owner=row.owner,
            owner_name=self.owner(budget, row.owner),
            amount=amount_of(budget.unit, row.amount),
            at=row.at,
            estimated=row.estimated,
            run_state=row.state,
            waiting_on=row.waiting_on,
        )

    def overrun(self, budget: BudgetRow, row: OverrunRow) -> OverrunView:
        """A step that used more than it had reserved, and why that could be."""
        used, reserved = display(budget.unit, row.used), display(budget.unit, row.reserved)
        why = f"It used {used}, and its bound was {reserved}: {_BILLED}"
        if row.reserved == 0:
            why = f"It used {used}, for which nothing was reserved: {_UNRESERVED}"
        return OverrunView(
            run=row.run,
            step=row.step,
            attempt=row.attempt,
            owner=row.owner,
            owner_name=self.owner(budget, row.owner),
            since=moment_of(budget.per, row.since),
            reserved=amount_of(budget.unit, row.reserved),
            used=amount_of(budget.unit, row.used),
            over=amount_of(budget.unit, row.used - row.reserved),
            at=row.at,
            why=why,
        )

    def alert(self, row: AlertRow) -> AlertView:
        """What a window had come to, in words too."""
        owner = self.owner(row, row.owner)
        return AlertView(
            id=row.id,
            budget=row.budget,
            called=called_of(row),
            owner=row.owner,
            owner_name=owner,
            since=moment_of(row.per, row.since),
            what=row.what,
            at=row.at,
            spent=amount_of(row.unit, row.spent),
            amount=amount_of(row.unit, row.amount),
            said=said(row, owner),
        )


_BILLED = "the provider billed more than was asked for, or the tool charged more than it declares."
_UNRESERVED = (
    "the tool charged more than it declares, or asked a model by itself, or the budget was set after the step began."
)
_SAID = {
    "half": "half is spent",
    "most": "four fifths are spent",
    "all": "there is no room for the next step",
    "forecast": "it will not last, if it goes on so",
}


def said(row: AlertRow, owner: str) -> str:
    """An alert in words."""
    of = (
        f"run {owner}"
        if row.per == "run"
        else f"user '{owner}'"
        if row.scope == "user"
        else whose(row.scope, row.key, owner)
    )
    stands = f"{display(row.unit, row.spent)} of {display(row.unit, row.amount)} are spent"
    return f"The budget of {of} {of_how_long(row.per)}: {_SAID[row.what]}. {stands}."


def unspent(budget: BudgetRow, owner: str) -> WindowRow:
    """The window that is now of an owner who has spent nothing."""
    return WindowRow(
        budget=budget.id, owner=owner, since=budget.since, most=budget.amount, spent=0, held=0, extra=0, overran=0,
        overruns=0,
    )  # fmt: skip
