"""What was done to a tenant's identities, and by whom."""

from __future__ import annotations

import orjson

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.identity_views import AuditPage, AuditView
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.store import audit


async def read_audit_log(services: Services, who: Who, *, cursor: str | None = None, limit: int = PAGE) -> AuditPage:
    """Entries, newest first; `cursor` is the `next` of the page before.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    who.reach(Scope.AUDIT_READ)
    rows = await audit.list_audit_log(services.db, who.tenant, before=ListCursor.place(cursor), limit=limit + 1)
    page, more = cut(rows, limit, lambda row: ListCursor(row.at, row.id))
    return AuditPage(items=[_view(row) for row in page], next=more)


def _view(row: audit.AuditEntry) -> AuditView:
    return AuditView(
        at=row.at,
        id=row.id,
        actor=row.actor,
        action=row.action,
        target=row.target,
        details=orjson.loads(row.details),
    )
