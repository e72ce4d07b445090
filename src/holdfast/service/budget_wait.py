"""The budget that a parked run waits for: which, how it stands now, and who holds what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from holdfast.domain.budgets import EACH, named_in
from holdfast.domain.principal import Who
from holdfast.domain.rights import Reach, Scope
from holdfast.domain.state import WaitingOn
from holdfast.service.budget_views import BudgetWaitView
from holdfast.service.budget_words import Naming, called_of, unspent
from holdfast.service.services import Services
from holdfast.store import budgets as store
from holdfast.store.budget_rows import BudgetRow, HoldingRow
from holdfast.store.runs import RunRow

HOLDERS = 10


async def budget_waited_for(
    services: Services, who: Who, row: RunRow, why: str, labels: Mapping[str, str]
) -> BudgetWaitView | None:
    """The budget that has no room for a run's next step, as it stands now.

    Args:
        services: what this process has.
        who: the one who asks. Who holds what is told to those who may read budgets.
        row: the run, which they may see.
        why: what the run said when it parked. Its journal has the budget in these words alone.
        labels: the run's.

    Returns: None where it waits for something else, or the budget is not there any more.
    """
    named = named_in(why) if row.waiting_on is WaitingOn.BUDGET else None
    if named is None:
        return None
    rows = await store.list_budgets(services.db, row.tenant, id_=UUID(named), limit=1)
    if not rows:
        return None
    [budget] = rows
    owner = _owner(budget, row, why, labels)
    windows = await store.list_budget_windows(services.db, row.tenant, budget.id, owner=owner, limit=1)
    window = windows[0] if windows and windows[0].since == budget.since else unspent(budget, owner)
    may_know = who.rights.get(Scope.BUDGETS_READ) is Reach.TENANT
    found: Sequence[HoldingRow] = ()
    if may_know:
        found = await store.list_holdings(services.db, row.tenant, budget.id, owner=owner, limit=HOLDERS)
    naming = await Naming.of(services, row.tenant, {owner})
    return BudgetWaitView(
        budget=budget.id,
        called=called_of(budget),
        window=naming.window(budget, window),
        holders=[naming.holding(budget, one) for one in found if not one.estimated] if may_know else None,
    )


def _owner(budget: BudgetRow, row: RunRow, why: str, labels: Mapping[str, str]) -> str:
    """Whose window the run is refused by, as `append` names it."""
    model = _quoted(why) if budget.scope == "model" and budget.key == EACH else budget.key
    if budget.per == "run":
        return f"{row.id} {model}" if budget.scope == "model" else str(row.id)
    if budget.key != EACH:
        return budget.key
    return {
        "user": row.principal,
        "session": str(row.session),
        "task": row.task,
        "feature": labels.get("feature", ""),
    }.get(budget.scope, model)


def _quoted(why: str) -> str:
    """What stands in quotes first: of a budget of each model, the model."""
    return why.partition("'")[2].partition("'")[0]
