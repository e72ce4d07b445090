"""The runs of a tenant, newest first, in pages."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.domain.state import RunState
from holdfast.service.cursor import ListCursor
from holdfast.service.run_view import row_view
from holdfast.service.services import Services
from holdfast.service.views import RunPage
from holdfast.store import runs

PAGE = 50
PAGE_MOST = 200


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
    before = ListCursor.parse(cursor) if cursor else None
    rows = await runs.list_runs(
        services.db,
        who.tenant,
        task=task,
        state=state,
        session=session,
        only=who.only(Scope.RUNS_READ),
        before=None if before is None else (before.at, before.id),
        limit=limit + 1,
    )
    page = rows[:limit]
    more = str(ListCursor(page[-1].created_at, page[-1].id)) if len(rows) > limit else None
    return RunPage(items=[row_view(row) for row in page], next=more)
