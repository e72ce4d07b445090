"""Saying what may be spent: setting, raising and ending budgets."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.budgets import Allowance, Per, Scope, Unit, read_amount
from holdfast.domain.errors import InvalidInput
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope as Right
from holdfast.service.budget_views import BudgetReport, BudgetView
from holdfast.service.content import check_text
from holdfast.service.find_budget import existing_budget, key_of, no_budget, owner_of
from holdfast.service.idempotency import check_idempotency_key, keyed, made_before
from holdfast.service.list_budgets import budget_report, budget_views
from holdfast.service.services import Services
from holdfast.store import budgets as store
from holdfast.store.budget_rows import Called
from holdfast.store.hints import QUEUED


async def set_budget(
    services: Services, who: Who, scope: Scope, key: str, allowance: Allowance
) -> tuple[BudgetView, bool]:
    """Say what may be spent from now on. There is one budget for each scope, unit and window: again, it is changed.

    What is spent and reserved stays so: a lower limit binds what comes. Runs that wait for a budget try again where it
    was raised.

    Returns: the budget, and whether it is new.

    Raises:
        MissingScope: they may not.
        NotFound: there is no such user or session.
        InvalidInput: the key does not fit, or the amount is too large.
    """
    who.reach(Right.BUDGETS_WRITE)
    stored = await key_of(services, who, scope, key, Right.BUDGETS_WRITE)
    called = Called(scope, stored, allowance.unit, allowance.per)
    budget, before = await store.set_budget(
        services.db, who.tenant, services.new_id(), called, allowance.amount, by=who.principal
    )
    services.hints.notify(QUEUED)
    return await _view(services, who, budget), before is None


async def raise_budget(
    services: Services,
    who: Who,
    budget: UUID,
    more: str | float,
    *,
    owner: str = "",
    reason: str,
    idempotency_key: str | None = None,
) -> BudgetReport:
    """Let one owner spend more, in the window that is now and in no other. Runs that wait for a budget try again.

    Args:
        services: what this process has.
        who: the one who asks.
        budget: which.
        more: how much more, in the budget's unit: dollars, tokens or requests. The unit may stand behind it.
        owner: whose window, where the budget is for each by itself.
        reason: why; the audit log keeps it.
        idempotency_key: asking again with the same request raises nothing again.

    Returns: the budget, of that owner.

    Raises:
        MissingScope: they may not.
        NotFound: there is no such budget in force, or no such owner.
        InvalidInput: nobody is named, or it is not more, or no reason is given.
        IdempotencyConflict: the idempotency key was used with another request.
    """
    who.reach(Right.BUDGETS_WRITE)
    if not check_text(reason, what="reason").strip():
        raise InvalidInput("Say why: the audit log keeps it.")
    check_idempotency_key(idempotency_key)
    row = await existing_budget(services, who, budget, Right.BUDGETS_WRITE)
    if row.ended_at is not None:
        raise no_budget()
    amount = amount_in(row.unit, str(more).strip().removesuffix(row.unit))
    if amount == 0:
        raise InvalidInput("A budget is raised by more than nothing. To lower it, set it.")
    whose = await owner_of(services, who, row, owner, Right.BUDGETS_WRITE)
    asked_as = {"budget": str(budget), "more": amount, "owner": whose, "reason": reason}
    # Without a key of theirs it has one of ours, so that an attempt whose answer was lost raises nothing twice.
    asked = await keyed(services, who, "raise_budget", idempotency_key or str(services.new_id()), asked_as)
    assert asked is not None
    if await made_before(services, who.tenant, asked) is None:
        outcome = await store.raise_budget(
            services.db, who.tenant, budget, whose, amount, reason=reason, by=who.principal, idempotency=asked
        )
        if outcome == "absent":
            raise no_budget()
        if outcome == "asked_before":  # at this very moment, or by an attempt of ours whose answer was lost
            await made_before(services, who.tenant, asked)
        services.hints.notify(QUEUED)
    return await budget_report(services, who, row, owner=whose)


async def end_budget(services: Services, who: Who, budget: UUID) -> BudgetView:
    """End a budget: it binds nothing from now on. Ending it again changes nothing.

    Raises:
        MissingScope: they may not.
        NotFound: there is no such budget.
    """
    await existing_budget(services, who, budget, Right.BUDGETS_WRITE)
    if await store.end_budget(services.db, who.tenant, budget, by=who.principal):
        services.hints.notify(QUEUED)
    return await _view(services, who, budget)


def allowance_of(amount: str | float, unit: Unit, per: Per) -> Allowance:
    """So much of a unit, dollars for `usd`, in each window.

    Raises:
        InvalidInput: it is no amount.
    """
    return Allowance(amount_in(unit, amount), unit, per)


def amount_in(unit: Unit, amount: str | float) -> int:
    """An amount of a unit as people give it: dollars for `usd`.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return read_amount(unit, amount)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


async def _view(services: Services, who: Who, budget: UUID) -> BudgetView:
    row = await existing_budget(services, who, budget, Right.BUDGETS_WRITE)
    [view] = await budget_views(services, who, [row])
    return view
