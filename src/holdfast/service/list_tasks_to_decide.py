"""What waits for people, oldest first; and one such task."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.approving import TaskState
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, Scope
from holdfast.service.approval_shapes import ApprovalDetail, ApprovalPage
from holdfast.service.approval_view import approval_detail, approval_view, existing_approval
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.store import approvals


async def list_tasks_to_decide(
    services: Services,
    who: Who,
    *,
    run: UUID | None = None,
    state: TaskState | None = "pending",
    mine: bool = False,
    ask: str | None = None,
    role: Role | None = None,
    tool: str | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
) -> ApprovalPage:
    """A page of human tasks: approvals to give and effects in doubt to resolve.

    Args:
        services: what this process has.
        who: the one who asks.
        run: only those of this run.
        state: only those in this state; None for all.
        mine: only those that `who` may decide and has not agreed to yet.
        ask: only those that ask exactly this, as `user` or `two admins`; the empty text, whoever may decide.
        role: only those that ask somebody of this role; of `user`, the person behind the run.
        tool: only those about this tool.
        cursor: the `next` of the page before.
        limit: the most to give.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
        MissingScope: `mine`, of one who decides nothing.
    """
    rows = await approvals.list_approvals(
        services.db,
        who.tenant,
        run=run,
        state=state,
        by=who.principal,
        mine=mine,
        ask=ask,
        role=role,
        tool=tool,
        newcomer_s=services.newcomer_s,
        only=who.only(Scope.APPROVALS_DECIDE if mine else Scope.APPROVALS_READ),
        after=ListCursor.place(cursor),
        limit=limit + 1,
    )
    page, more = cut(rows, limit, lambda row: ListCursor(row.asked_at, row.id))
    return ApprovalPage(items=[await approval_view(services, who, row) for row in page], next=more)


async def get_task_to_decide(services: Services, who: Who, approval: UUID) -> ApprovalDetail:
    """One human task, decided or not, with all that is known of it.

    Raises:
        NotFound: there is no such task.
    """
    return await approval_detail(services, who, await existing_approval(services, who, approval))
