"""The runs of a tenant, newest first, in pages."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.domain.state import RunState
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.run_view import row_view
from holdfast.service.services import Services
from holdfast.service.views import RunPage
from holdfast.store import runs


async def list_runs(
    services: Services,
    who: Who,
    *,
    task: str | None = None,
    state: RunState | None = None,
    session: UUID | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
) -> RunPage:
    """A page of runs. `cursor` is the `next` of the page before; runs started since do not move it.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    rows = await runs.list_runs(
        services.db,
        who.tenant,
        task=task,
        state=state,
        session=session,
        only=who.only(Scope.RUNS_READ),
        before=ListCursor.place(cursor),
        limit=limit + 1,
    )
    page, more = cut(rows, limit, lambda row: ListCursor(row.created_at, row.id))
    return RunPage(items=[row_view(row) for row in page], next=more)
