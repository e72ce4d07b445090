"""A tenant's audit log: what was done to its identities, and by whom. Entries are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done."""

    at: datetime
    id: UUID
    actor: str
    """A principal's id, or who else acted; of somebody who acted as a principal, both: `os:root as 0198...`."""
    action: str
    """What was done, as `key.created`."""
    target: str
    """The id of what it was done to."""
    details: str
    """JSON without content and personal data."""


async def note(db: Database, tenant: UUID, *, actor: str, action: str, target: str, details: Mapping[str, Any]) -> None:
    """Add an entry. While the database is away it may be added twice: told twice is better than not at all.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "tenant": tenant,
        "actor": actor,
        "action": action,
        "target": target,
        "details": orjson.dumps(details).decode(),
    }
    await db.repeat(lambda: db.fetch(tenant, "note", parameters))


async def list_audit_log(
    db: Database, tenant: UUID, *, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> Sequence[AuditEntry]:
    """Entries, newest first, from behind a place `(at, id)`.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    at, id_ = before or (None, None)
    parameters = {"tenant": tenant, "before_at": at, "before_id": id_, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_audit_log", parameters, class_row(AuditEntry)))
