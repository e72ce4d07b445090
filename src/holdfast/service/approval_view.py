"""A human task as people get it: with exactly the arguments it is about."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import NotFound
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.contents import MISSING, Contents
from holdfast.service.existing import existing_run
from holdfast.service.services import Services
from holdfast.service.views import ApprovalView
from holdfast.store import approvals
from holdfast.store.approvals import ApprovalTask


async def existing_approval(
    services: Services, who: Who, approval: UUID, scope: Scope = Scope.APPROVALS_READ
) -> ApprovalTask:
    """The row of a human task.

    Raises:
        NotFound: there is no such task for this tenant.
    """
    row = await approvals.get_approval(services.db, who.tenant, approval, only=who.only(scope))
    if row is None:
        raise no_approval()
    return row


def no_approval() -> NotFound:
    """The error that says so."""
    return NotFound(
        "There is no approval or effect in doubt with this id. `GET /v1/approvals` or `holdfast approvals ls` lists "
        "what waits for a decision."
    )


async def approval_view(
    services: Services, who: Who, row: ApprovalTask, scope: Scope = Scope.APPROVALS_READ
) -> ApprovalView:
    """The task with its arguments, opened."""
    run = await existing_run(services, who, row.run, scope)
    # Whoever has to decide is shown what about, though the run's session was deleted meanwhile.
    contents = Contents(services, run, withheld=run.session_deleted and row.state != "pending")
    args = await contents.shown(row.args.hex(), whole=True)
    return ApprovalView(
        id=row.id,
        run=row.run,
        kind=row.kind,
        state=row.state,
        scope=row.scope,
        step=row.step,
        call=row.call,
        tool=row.tool,
        key=row.key,
        args=args or MISSING,
        digest=row.digest,
        why=row.why,
        asked_at=row.asked_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
