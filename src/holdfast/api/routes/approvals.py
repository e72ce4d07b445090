"""What waits for people, and their decisions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import DecisionBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import TheServices, needs, read_id, reply
from holdfast.domain.approving import TaskState
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, Scope
from holdfast.service.approval_shapes import ApprovalDetail, ApprovalPage
from holdfast.service.decide_escalation import decide
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide
from holdfast.service.pages import PAGE, PAGE_MOST

router = APIRouter(tags=["approvals"])
State = Literal[TaskState, "all"]


@router.get(
    "/v1/approvals",
    summary="List what waits for people",
    responses={
        **answer(200, ApprovalPage, "Human tasks, oldest first."),
        **problems("invalid-cursor", "invalid-request"),
    },
)
async def get_approvals(
    services: TheServices,
    who: Annotated[Who, needs(Scope.APPROVALS_READ)],
    state: Annotated[State, Query()] = "pending",
    run: Annotated[str | None, Query(description="Only those of this run.")] = None,
    mine: Annotated[bool, Query(description="Only those that you may decide and have not agreed to yet.")] = False,
    ask: Annotated[str | None, Query(description="Only those that ask exactly this, as `two admins`.")] = None,
    role: Annotated[Role | None, Query(description="Only those that ask somebody of this role.")] = None,
    tool: Annotated[str | None, Query(description="Only those about this tool.")] = None,
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """Approvals to give, questions to answer, effects in doubt and runs in trouble, each with what it is about."""
    return reply(
        await list_tasks_to_decide(
            services,
            who,
            run=None if run is None else read_id(run),
            state=None if state == "all" else state,
            mine=mine,
            ask=ask,
            role=role,
            tool=tool,
            cursor=cursor or None,
            limit=limit,
        )
    )


@router.get(
    "/v1/approvals/{approval}",
    summary="Get one human task",
    responses={**answer(200, ApprovalDetail, "The task, decided or not."), **problems("not-found")},
)
async def get_approval(
    approval: str, services: TheServices, who: Annotated[Who, needs(Scope.APPROVALS_READ)]
) -> Response:
    """Exactly what a decision would be about, with its digest."""
    return reply(await get_task_to_decide(services, who, read_id(approval)))


@router.post(
    "/v1/approvals/{approval}/decision",
    summary="Decide",
    openapi_extra=body(DecisionBody),
    responses={
        **answer(200, ApprovalDetail, "The task as it stands then."),
        **problems(
            "not-found",
            "may-not-decide",
            "already-decided",
            "already-voted",
            "approval-expired",
            "run-cancelling",
            "effect-reported",
            "digest-mismatch",
            "erased",
            *BODY,
        ),
    },
)
async def post_decision(
    request: Request, approval: str, services: TheServices, who: Annotated[Who, needs(Scope.APPROVALS_DECIDE)]
) -> Response:
    """Approve or reject a call; answer what one asks; say what became of an effect in doubt or a run in trouble.

    Where several have to agree, the task stays pending until they have. Edited arguments of a call that others
    authorise make another digest, and everybody is asked anew.

    `digest` is the one of what was shown to whoever decides: the decision is about exactly that.
    """
    given = await read_body(request, DecisionBody)
    view = await decide(
        services,
        who,
        read_id(approval),
        given.verdict,
        digest=given.digest,
        args=given.args,
        reason=given.reason,
        result=given.result,
        limits=given.limits,
        output=given.output,
        answer=given.answer,
    )
    return reply(view)
