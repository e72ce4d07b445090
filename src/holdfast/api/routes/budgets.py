"""Budgets: what may be spent over many runs, and what of it is spent, held and left."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import BudgetBody, RaiseBody, SettleBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import IdempotencyKey, TheServices, needs, read_id, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.budget_views import AlertPage, BudgetPage, BudgetReport, BudgetView, ReconcileView, SettledView
from holdfast.service.find_budget import KEY_MOST
from holdfast.service.list_budgets import list_budget_alerts, list_budgets, show_budget
from holdfast.service.pages import PAGE, PAGE_MOST
from holdfast.service.reconcile_budgets import reconcile_budgets, settle_reservation
from holdfast.service.set_budget import allowance_of, end_budget, raise_budget, set_budget

router = APIRouter(tags=["budgets"])

Cursor = Annotated[str | None, Query(description="The `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MOST)]


@router.get(
    "/v1/budgets",
    summary="List budgets",
    responses={**answer(200, BudgetPage, "Budgets, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_budgets(
    services: TheServices,
    who: Annotated[Who, needs(Scope.BUDGETS_READ)],
    ended: Annotated[bool, Query(description="Those that have ended too.")] = False,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """What may be spent, with what is spent, held and left in the windows that are now."""
    return reply(await list_budgets(services, who, ended=ended, cursor=cursor, limit=limit))


@router.put(
    "/v1/budgets",
    summary="Set a budget",
    openapi_extra=body(BudgetBody),
    responses={
        **answer(200, BudgetView, "There was one of this scope, unit and window: it is changed."),
        **answer(201, BudgetView, "The budget, which is new."),
        **problems("not-found", "session-deleted", *BODY),
    },
)
async def put_budget(
    request: Request, services: TheServices, who: Annotated[Who, needs(Scope.BUDGETS_WRITE)]
) -> Response:
    """Say what may be spent from now on. What is spent and reserved stays so. Asked again, it changes nothing more."""
    given = await read_body(request, BudgetBody)
    allowance = allowance_of(given.amount, given.unit, given.per)
    view, is_new = await set_budget(services, who, given.scope, given.key, allowance)
    return reply(view, 201 if is_new else 200, {"Location": f"/v1/budgets/{view.id}"})


@router.get(
    "/v1/budgets/alerts",
    summary="List alerts of budgets",
    responses={**answer(200, AlertPage, "Alerts, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_alerts(
    services: TheServices,
    who: Annotated[Who, needs(Scope.BUDGETS_READ)],
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """When half, four fifths or all of a window was spent, or would be before its end."""
    return reply(await list_budget_alerts(services, who, cursor=cursor, limit=limit))


@router.get(
    "/v1/budgets/reservations",
    summary="List reservations to reconcile",
    responses={
        **answer(200, ReconcileView, "Reservations, and windows that are not what is reserved of them."),
        **problems("invalid-cursor", "invalid-request"),
    },
)
async def get_reservations(
    services: TheServices,
    who: Annotated[Who, needs(Scope.BUDGETS_READ)],
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Those settled at their bound, as nobody knows what was used, and those held by runs that are not at work."""
    return reply(await reconcile_budgets(services, who, cursor=cursor, limit=limit))


@router.post(
    "/v1/budgets/reservations/settle",
    summary="Settle a reservation",
    openapi_extra=body(SettleBody),
    responses={
        **answer(200, SettledView, "It is settled by what you said."),
        **problems("not-found", "under-way", "invalid-input", *BODY),
    },
)
async def post_settle(
    request: Request, services: TheServices, who: Annotated[Who, needs(Scope.BUDGETS_WRITE)]
) -> Response:
    """Say what a step did use, where that was estimated, or is held by a run that is not at work."""
    given = await read_body(request, SettleBody)
    return reply(
        await settle_reservation(
            services,
            who,
            given.run,
            given.step,
            given.attempt,
            usd=given.usd,
            tokens=given.tokens,
            requests=given.requests,
            reason=given.reason,
        )
    )


@router.get(
    "/v1/budgets/{budget}",
    summary="Get a budget",
    responses={
        **answer(200, BudgetReport, "The budget, with earlier windows and who holds what of it."),
        **problems("not-found", "invalid-input", "invalid-request"),
    },
)
async def get_budget(
    budget: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.BUDGETS_READ)],
    owner: Annotated[str | None, Query(max_length=KEY_MOST, description="Of this one's windows only.")] = None,
) -> Response:
    """Its windows, what is held by which step of which run, what exceeded its reservation, and its alerts."""
    return reply(await show_budget(services, who, read_id(budget), owner=owner))


@router.post(
    "/v1/budgets/{budget}/raise",
    summary="Raise a budget",
    openapi_extra=body(RaiseBody),
    responses={
        **answer(200, BudgetReport, "The budget of that owner, raised."),
        **problems("not-found", "session-deleted", "idempotency-key-reused", "invalid-input", *BODY),
    },
)
async def post_raise(
    budget: str,
    request: Request,
    services: TheServices,
    who: Annotated[Who, needs(Scope.BUDGETS_WRITE)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Let one owner spend more in the window that is now, and in no other. Runs that wait for it try again."""
    given = await read_body(request, RaiseBody)
    return reply(
        await raise_budget(
            services,
            who,
            read_id(budget),
            given.more,
            owner=given.owner,
            reason=given.reason,
            idempotency_key=idempotency_key,
        )
    )


@router.delete(
    "/v1/budgets/{budget}",
    summary="End a budget",
    responses={**answer(200, BudgetView, "The budget, ended."), **problems("not-found")},
)
async def delete_budget(
    budget: str, services: TheServices, who: Annotated[Who, needs(Scope.BUDGETS_WRITE)]
) -> Response:
    """It binds nothing from now on. What was spent of it is kept."""
    return reply(await end_budget(services, who, read_id(budget)))
