"""What waits for people, oldest first; and one such task."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.approval_view import approval_view, existing_approval
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.service.views import ApprovalPage, ApprovalView
from holdfast.store import approvals


async def list_tasks_to_decide(
    services: Services,
    who: Who,
    *,
    run: UUID | None = None,
    state: approvals.ApprovalState | None = "pending",
    cursor: str | None = None,
    limit: int = PAGE,
) -> ApprovalPage:
    """A page of human tasks: approvals to give and effects in doubt to resolve.

    Args:
        services: what this process has.
        who: the one who asks.
        run: only those of this run.
        state: only those in this state; None for all.
        cursor: the `next` of the page before.
        limit: the most to give.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    rows = await approvals.list_approvals(
        services.db,
        who.tenant,
        run=run,
        state=state,
        only=who.only(Scope.APPROVALS_READ),
        after=ListCursor.place(cursor),
        limit=limit + 1,
    )
    page, more = cut(rows, limit, lambda row: ListCursor(row.asked_at, row.id))
    return ApprovalPage(items=[await approval_view(services, who, row) for row in page], next=more)


async def get_task_to_decide(services: Services, who: Who, approval: UUID) -> ApprovalView:
    """One human task, decided or not.

    Raises:
        NotFound: there is no such task.
    """
    return await approval_view(services, who, await existing_approval(services, who, approval))
