"""Looking a budget up by what people call it, and naming whom one is of."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.budgets import EACH, Scope, read_called
from holdfast.domain.errors import InvalidInput, NotFound
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope as Right
from holdfast.service.content import check_text
from holdfast.service.existing import existing_run
from holdfast.service.manage_principals import existing_principal, find_principal
from holdfast.service.manage_sessions import existing_session
from holdfast.service.services import Services
from holdfast.store import budgets as store
from holdfast.store.budget_rows import BudgetRow, Called

KEY_MOST = 256


async def existing_budget(services: Services, who: Who, budget: UUID, right: Right = Right.BUDGETS_READ) -> BudgetRow:
    """The row of a budget, in force or ended.

    Raises:
        NotFound: there is none with this id.
        MissingScope: they lack the scope.
    """
    who.reach(right)
    rows = await store.list_budgets(services.db, who.tenant, id_=budget, limit=1)
    if not rows:
        raise no_budget()
    return rows[0]


async def find_budget(services: Services, who: Who, text: str) -> UUID:
    """The budget of this id, or that is called so and in force: `tenant/day/usd`, `user:Ann/month/tokens`.

    Raises:
        NotFound: there is none.
        InvalidInput: it is neither an id nor what a budget is called.
        MissingScope: they may not read budgets.
    """
    who.reach(Right.BUDGETS_READ)
    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        scope, key, unit, per = read_called(text)
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    key = await key_of(services, who, scope, key, Right.BUDGETS_READ)
    rows = await store.list_budgets(
        services.db, who.tenant, called=Called(scope, key, unit, per), in_force=True, limit=1
    )
    if not rows:
        raise no_budget()
    return rows[0].id


async def key_of(services: Services, who: Who, scope: Scope, key: str, right: Right) -> str:
    """The key as it is stored: of a user its id, whichever way it is named.

    Raises:
        NotFound: there is no such user or session.
        InvalidInput: the key is empty or too long, or the tenant is given one.
    """
    if len(check_text(key, what="key")) > KEY_MOST:
        raise InvalidInput(f"The key has {len(key)} characters; the most is {KEY_MOST}.")
    if (scope == "tenant") != (key.strip() == ""):
        raise InvalidInput(
            "The budget of the tenant has no key." if scope == "tenant" else f"Name the {scope}, or * for each."
        )
    if key == EACH:
        return key
    if scope == "user":
        id_ = _uuid(key)
        found = await (
            find_principal(services, who.tenant, key) if id_ is None else existing_principal(services, who.tenant, id_)
        )
        return str(found.id)
    if scope == "session":
        return str((await existing_session(services, who, _uuid(key) or UUID(int=0), right)).id)
    return key


async def owner_of(services: Services, who: Who, budget: BudgetRow, owner: str, right: Right) -> str:
    """Whose window is meant, as it is stored.

    Args:
        services: what this process has.
        who: the one who asks.
        budget: which.
        owner: as people name it; empty where the budget has one owner.
        right: by which runs and sessions are looked up.

    Raises:
        NotFound: there is no such user, session or run.
        InvalidInput: the budget is for each by itself and nobody is named, or it is somebody else's.
    """
    if budget.per == "run":
        return await _run_of(services, who, budget, owner, right)
    if budget.key != EACH:
        named = owner and await key_of(services, who, budget.scope, owner, right)
        if named not in {"", budget.key}:
            raise InvalidInput("The budget is another's: leave the owner out.")
        return budget.key
    if not owner.strip() or owner == EACH:
        raise InvalidInput(f"The budget is for each {budget.scope} by itself: name one as its owner.")
    return await key_of(services, who, budget.scope, owner, right)


async def _run_of(services: Services, who: Who, budget: BudgetRow, owner: str, right: Right) -> str:
    """A budget of each run is a run's own; of a model's, the model's behind it."""
    run, _, model = owner.partition(" ")
    id_ = _uuid(run)
    if id_ is None:
        raise InvalidInput("The budget is for each run by itself: name one as its owner.")
    found = str((await existing_run(services, who, id_, right)).id)
    if budget.scope != "model":
        return found
    if budget.key == EACH and not model:
        raise InvalidInput("The budget is for each model of each run: name the run and the model, as 'RUN MODEL'.")
    return f"{found} {model if budget.key == EACH else budget.key}"


def no_budget() -> NotFound:
    """The error that says so."""
    return NotFound("There is no such budget. `GET /v1/budgets` or `holdfast budget ls` lists them.")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
