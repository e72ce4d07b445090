"""The budget that a parked run waits for: which, how it stands now, and who holds what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from holdfast.domain.events import RunParked
from holdfast.domain.principal import Who
from holdfast.domain.rights import Reach, Scope
from holdfast.service.budget_views import BudgetWaitView
from holdfast.service.budget_words import Naming, called_of, unspent
from holdfast.service.services import Services
from holdfast.store import budgets as store
from holdfast.store.budget_rows import HoldingRow
from holdfast.store.runs import RunRow

HOLDERS = 10


async def budget_waited_for(services: Services, who: Who, row: RunRow, parked: RunParked) -> BudgetWaitView | None:
    """The budget that has no room for a run's next step, as it stands now.

    Args:
        services: what this process has.
        who: the one who asks. Who holds what is told to those who may read budgets.
        row: the run, which they may see.
        parked: how it parked.

    Returns: None where it waits for something else, or the budget is not there any more.
    """
    if not parked.budget:
        return None
    rows = await store.list_budgets(services.db, row.tenant, id_=UUID(parked.budget), limit=1)
    if not rows:
        return None
    [budget] = rows
    owner = parked.owner
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
