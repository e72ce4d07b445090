"""Runs: what there is of them, and what may be said to them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import CancelBody, MessageBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import TheServices, needs, read_id, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.domain.state import RunState
from holdfast.service.cancel_run import cancel_run
from holdfast.service.get_run import get_run
from holdfast.service.list_runs import list_runs
from holdfast.service.pages import PAGE, PAGE_MOST
from holdfast.service.send_message import send_message
from holdfast.service.views import RunPage, RunView

router = APIRouter(tags=["runs"])


@router.get(
    "/v1/runs",
    summary="List runs",
    responses={**answer(200, RunPage, "Runs, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_runs(
    services: TheServices,
    who: Annotated[Who, needs(Scope.RUNS_READ)],
    task: Annotated[str | None, Query(max_length=63, pattern=r"^[a-z][a-z0-9_.-]*$")] = None,
    state: Annotated[RunState | None, Query()] = None,
    session: Annotated[UUID | None, Query()] = None,
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """A page of runs, without their labels, outputs and errors."""
    return reply(
        await list_runs(services, who, task=task, state=state, session=session, cursor=cursor or None, limit=limit)
    )


@router.get(
    "/v1/runs/{run}",
    summary="Get a run",
    responses={**answer(200, RunView, "The run as it stands."), **problems("not-found")},
)
async def get_one_run(run: str, services: TheServices, who: Annotated[Who, needs(Scope.RUNS_READ)]) -> Response:
    """One run with its labels and, once it has ended, its output or error."""
    return reply(await get_run(services, who, read_id(run)))


@router.post(
    "/v1/runs/{run}/cancel",
    status_code=202,
    summary="Cancel a run",
    openapi_extra=body(CancelBody, required=False),
    responses={
        **answer(202, RunView, "Cancellation is asked for; the run ends when what is under way has."),
        **problems("not-found", "run-finished", "erased", *BODY),
    },
)
async def post_cancel(
    request: Request, run: str, services: TheServices, who: Annotated[Who, needs(Scope.RUNS_CONTROL)]
) -> Response:
    """Ask a run to stop. From now on it starts nothing new. Asking again changes nothing."""
    given = await read_body(request, CancelBody, optional=True)
    return reply(await cancel_run(services, who, read_id(run), reason=given.reason), 202)


@router.post(
    "/v1/runs/{run}/messages",
    status_code=202,
    summary="Send a message to a run",
    openapi_extra=body(MessageBody),
    responses={
        **answer(202, RunView, "The message is in the run's inbox."),
        **problems("not-found", "run-finished", "idempotency-key-reused", "erased", *BODY),
    },
)
async def post_message(
    request: Request,
    run: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.RUNS_CONTROL)],
    idempotency_key: Annotated[
        str | None, Header(description="The same key with the same message sends it once.")
    ] = None,
) -> Response:
    """Say something to a run under way: its agent sees it with the next model request."""
    given = await read_body(request, MessageBody)
    view = await send_message(services, who, read_id(run), given.message, idempotency_key=idempotency_key)
    return reply(view, 202)
