"""What was done to a tenant's identities, and by whom."""

from __future__ import annotations

import orjson

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.cursor import ListCursor
from holdfast.service.identity_views import AuditPage, AuditView
from holdfast.service.services import Services
from holdfast.store import audit

PAGE = 50
PAGE_MOST = 200


async def read_audit_log(services: Services, who: Who, *, cursor: str | None = None, limit: int = PAGE) -> AuditPage:
    """Entries, newest first; `cursor` is the `next` of the page before.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    who.reach(Scope.AUDIT_READ)
    before = ListCursor.parse(cursor) if cursor else None
    rows = await audit.list_audit_log(
        services.db, who.tenant, before=None if before is None else (before.at, before.id), limit=limit + 1
    )
    page = rows[:limit]
    more = str(ListCursor(page[-1].at, page[-1].id)) if len(rows) > limit else None
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
