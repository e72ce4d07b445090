"""Sessions as rows, and what of them is no longer given to the model. All of these raise as `Database.repeat`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.store.runs import RunRow

if TYPE_CHECKING:
    from holdfast.store.pool import Database
    from holdfast.store.vault import Sealed


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One conversation."""

    tenant: UUID
    id: UUID
    subject: str
    principal: str
    last_run: UUID | None
    """The last run that succeeded: it holds the conversation's history."""
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a deletion, and the runs that were told to stop."""

    outcome: Literal["deleted", "absent"]
    told: Sequence[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidationRow:
    """Messages that are not given to the model any more, or were not until it was lifted."""

    id: UUID
    run: UUID
    """The run by which they came into the conversation."""
    first: int
    last: int
    """Their places among that run's messages, from 1."""
    messages: Sequence[str]
    """Their references, `<run>/<digest>`."""
    reason_digest: bytes
    reason: bytes
    by: str
    at: datetime
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_digest: bytes | None
    lifted_reason: bytes | None


Invalidated = Literal["created", "repeated", "taken", "absent", "deleted"]
Lifted = Literal["changed", "unchanged", "absent", "deleted", "unknown"]


async def create_session(
    db: Database, tenant: UUID, session: UUID, *, principal: str, subject: str
) -> Literal["created", "repeated", "foreign", "deleted"]:
    """Begin a conversation."""
    parameters = {"tenant": tenant, "session": session, "principal": principal, "subject": subject}
    return await db.value("create_session", parameters, tenant=tenant)


async def get_session(db: Database, tenant: UUID, session: UUID, *, only: str | None = None) -> SessionRow | None:
    """One conversation, deleted or not; None where this tenant, or this principal of it, has none of that id."""
    parameters = {"tenant": tenant, "session": session, "only": only}
    rows = await db.repeat(lambda: db.fetch(tenant, "get_session", parameters, class_row(SessionRow)))
    return rows[0] if rows else None


async def list_sessions(
    db: Database, tenant: UUID, *, only: str | None, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> Sequence[SessionRow]:
    """Conversations that are not deleted, newest first, from behind a place `(created_at, id)`."""
    at, id_ = before or (None, None)
    parameters = {"tenant": tenant, "only": only, "before_at": at, "before_id": id_, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_sessions", parameters, class_row(SessionRow)))


async def list_session_runs(db: Database, tenant: UUID, session: UUID, *, limit: int) -> Sequence[RunRow]:
    """The runs of a conversation, newest first."""
    parameters = {"tenant": tenant, "session": session, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_session_runs", parameters, class_row(RunRow)))


async def delete_session(db: Database, tenant: UUID, session: UUID, *, only: str | None, by: str) -> Deleted:
    """Delete a conversation, and tell its runs to stop."""
    parameters = {"tenant": tenant, "session": session, "only": only, "by": by}
    return (await db.repeat(lambda: db.fetch(tenant, "delete_session", parameters, class_row(Deleted))))[0]


async def list_invalidations(
    db: Database, tenant: UUID, session: UUID, *, in_force: bool = False
) -> Sequence[InvalidationRow]:
    """The invalidations of a conversation, oldest first: all, or those `in_force`."""
    parameters = {"tenant": tenant, "session": session, "in_force": in_force}
    return await db.repeat(lambda: db.fetch(tenant, "list_invalidations", parameters, class_row(InvalidationRow)))


async def invalidate(
    db: Database,
    tenant: UUID,
    session: UUID,
    id: UUID,  # noqa: A002 - the column's name
    *,
    only: str | None,
    run: UUID,
    span: tuple[int, int],
    messages: Sequence[str],
    reason: Sealed,
    by: str,
) -> Invalidated:
    """Mark messages as no longer to be given to the model."""
    parameters = {
        "tenant": tenant,
        "session": session,
        "only": only,
        "id": id,
        "run": run,
        "first": span[0],
        "last": span[1],
        "messages": list(messages),
        "digest": reason.digest,
        "reason": reason.body,
        "by": by,
    }
    return await db.value("invalidate", parameters, tenant=tenant)


async def lift_invalidation(
    db: Database,
    tenant: UUID,
    session: UUID,
    id: UUID,  # noqa: A002 - the column's name
    *,
    only: str | None,
    reason: Sealed,
    by: str,
) -> Lifted:
    """Let them be given again."""
    parameters = {"tenant": tenant, "session": session, "only": only, "id": id, "by": by}
    sealed = {"digest": reason.digest, "reason": reason.body}
    return await db.value("lift_invalidation", {**parameters, **sealed}, tenant=tenant)
