"""Conversations: begun, listed, deleted. `show_session` reads one, `invalidate_messages` withdraws of it."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import SessionDeleted
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.deliver import announce
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.service.session_history import check_session_id, no_session
from holdfast.service.session_views import SessionPage, SessionView
from holdfast.service.start_run import check_principal
from holdfast.store import sessions
from holdfast.store.sessions import SessionRow


async def create_session(services: Services, who: Who, *, id: UUID | None = None) -> SessionView:  # noqa: A002
    """Begin a conversation, for and about who asks. With an `id` of theirs it is begun once however often they ask.

    Raises:
        NotFound: the id is another's session.
        InvalidInput: the id is none that was chosen at random.
        SessionDeleted: it was deleted.
    """
    who.reach(Scope.SESSIONS_WRITE)
    check_principal(who)
    check_session_id(id)
    session = id or services.new_id()
    outcome = await sessions.create_session(
        services.db, who.tenant, session, principal=who.principal, subject=who.principal
    )
    if outcome == "foreign":
        raise no_session()
    if outcome == "deleted":
        raise SessionDeleted.of(session)
    found = await sessions.get_session(services.db, who.tenant, session, only=who.principal)
    if found is None:
        raise no_session()
    return session_view(found)


async def list_sessions(services: Services, who: Who, *, cursor: str | None = None, limit: int = PAGE) -> SessionPage:
    """A page of conversations, newest first. `cursor` is the `next` of the page before.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    rows = await sessions.list_sessions(
        services.db,
        who.tenant,
        only=who.only(Scope.SESSIONS_READ),
        before=ListCursor.place(cursor),
        limit=limit + 1,
    )
    page, more = cut(rows, limit, lambda row: ListCursor(row.created_at, row.id))
    return SessionPage(items=[session_view(row) for row in page], next=more)


async def delete_session(services: Services, who: Who, session: UUID) -> None:
    """Delete a conversation: its runs are told to stop, and nothing of it is shown or given any more.

    Asking again changes nothing. Its journals stay as they are; destroying its subject's key destroys their content.

    Raises:
        NotFound: there is no such session.
    """
    only = who.only(Scope.SESSIONS_WRITE)
    done = await sessions.delete_session(services.db, who.tenant, session, only=only, by=who.principal)
    if done.outcome == "absent":
        raise no_session()
    for run in done.told:
        announce(services, run)


async def existing_session(services: Services, who: Who, session: UUID, scope: Scope) -> SessionRow:
    """The row of a session, as far as this scope of theirs reaches.

    Raises:
        NotFound: there is no such session for this tenant, or for this principal where it sees no others'.
        SessionDeleted: it was deleted.
        MissingScope: they lack the scope.
    """
    row = await sessions.get_session(services.db, who.tenant, session, only=who.only(scope))
    if row is None:
        raise no_session()
    if row.deleted_at is not None:
        raise SessionDeleted.of(session)
    return row


def session_view(row: SessionRow) -> SessionView:
    """A session as readers get it."""
    return SessionView(
        id=row.id, principal=row.principal, subject=row.subject, last_run=row.last_run, created_at=row.created_at
    )
