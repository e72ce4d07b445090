"""Tasks, and starting runs of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from holdfast.api.bodies import StartRunBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import TheServices, needs, reply, standing_of
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.list_tasks import list_tasks
from holdfast.service.start_run import start_run
from holdfast.service.views import RunView, TaskView
from holdfast.service.wait_for_run import wait_for_run

WAIT_MOST_S = 60
router = APIRouter(tags=["tasks"])
_REFUSED = (
    "unknown-task",
    "missing-role",
    "not-found",
    "idempotency-key-reused",
    "tenant-suspended",
    "quota-exceeded",
    "erased",
    "session-deleted",
    "session-history-gone",
)
_TASKS = TypeAdapter(list[TaskView])


@router.get(
    "/v1/tasks",
    summary="List tasks",
    responses={200: {"model": list[TaskView], "description": "The registered tasks."}, **problems()},
)
async def get_tasks(services: TheServices, who: Annotated[Who, needs(Scope.TASKS_READ)]) -> Response:
    """The tasks that runs can be started of, each with the JSON schema of its input."""
    return Response(_TASKS.dump_json(list_tasks(services, who)), media_type="application/json")


@router.post(
    "/v1/tasks/{task}/runs",
    status_code=202,
    summary="Start a run",
    openapi_extra=body(StartRunBody),
    responses={
        **answer(202, RunView, "The run is accepted; `Location` is where it is."),
        **answer(200, RunView, "With `wait`: the run has ended."),
        **problems(*_REFUSED, *BODY),
    },
)
async def post_run(
    request: Request,
    task: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.RUNS_START)],
    wait: Annotated[
        float, Query(ge=0, le=WAIT_MOST_S, allow_inf_nan=False, description="Seconds to wait for the run to end.")
    ] = 0,
    idempotency_key: Annotated[
        str | None,
        Header(description="The same key with the same body answers with the first run. Keys do not expire."),
    ] = None,
) -> Response:
    """Accept a run. Once this answers, the run goes on whatever happens to this process."""
    given = await read_body(request, StartRunBody)
    run = await start_run(
        services,
        who,
        task,
        given.input,
        session=given.session,
        idempotency_key=idempotency_key,
        priority=given.priority,
        labels=given.labels,
        on_behalf_of=given.on_behalf_of,
        limits=given.limits,
    )
    location = {"Location": f"/v1/runs/{run.id}"}
    if wait > 0:
        run = await wait_for_run(services, standing_of(request, who), run.id, timeout_s=wait, scope=Scope.RUNS_START)
    return reply(run, 200 if wait > 0 and run.state.is_final else 202, location)
