"""Mark messages of a conversation as no longer to be given to the model, and lift that again.

A run that began before is not changed by either: what it was given stands in its journal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from holdfast.domain.conversation import own
from holdfast.domain.errors import IdempotencyConflict, InvalidInput, NotFound, SessionDeleted
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.content import check_text, to_json
from holdfast.service.contents import show
from holdfast.service.manage_sessions import existing_session
from holdfast.service.services import Services
from holdfast.service.session_history import no_session
from holdfast.service.session_views import InvalidationList, InvalidationView
from holdfast.service.show_session import Conversations, is_run_of
from holdfast.store import sessions
from holdfast.store.sessions import InvalidationRow, SessionRow
from holdfast.store.vault import Erased, Sealed, SubjectKey

SPAN_MOST = 1000
_REF = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Messages by their places among those of one run, from 1, both ends included."""

    run: UUID
    first: int
    last: int


async def invalidate_messages(
    services: Services,
    who: Who,
    session: UUID,
    what: Span | str,
    reason: str,
    *,
    id: UUID | None = None,  # noqa: A002 - the word of the interface
) -> InvalidationView:
    """Mark messages: no run of the session that begins from now on is given them.

    Args:
        services: what this process has.
        who: the one who asks.
        session: the session.
        what: a span, or the reference of one message.
        reason: why; sealed as content.
        id: asking again with the same id, messages and reason changes nothing.

    Raises:
        NotFound: there is no such session.
        SessionDeleted: it was deleted.
        InvalidInput: the reason is empty, or the messages are not in the session's history.
        IdempotencyConflict: the id was used for others.
        Erased: the subject's content was erased.
        HistoryGone: retention dropped a part of the session.
    """
    row = await existing_session(services, who, session, Scope.SESSIONS_WRITE)
    key = await services.subject_key(who.tenant, row.subject)
    sealed = _sealed(services, key, reason)
    span, refs = await _found(services, row, key, what)
    new = id or services.new_id()
    outcome = await sessions.invalidate(
        services.db,
        who.tenant,
        session,
        new,
        only=who.only(Scope.SESSIONS_WRITE),
        run=span.run,
        span=(span.first, span.last),
        messages=refs,
        reason=sealed,
        by=who.principal,
    )
    _check_session(session, outcome)
    if outcome == "taken":
        raise IdempotencyConflict("There is another invalidation with this id in the session. Use a new id.")
    return await _view(services, row, key, new)


async def lift_invalidation(
    services: Services, who: Who, session: UUID, invalidation: UUID, reason: str
) -> InvalidationView:
    """Let what was marked be given again, to runs that begin from now on. Lifted already, nothing changes.

    Raises:
        NotFound: there is no such session, or no such invalidation in it.
        SessionDeleted: it was deleted.
        InvalidInput: the reason is empty.
        Erased: the subject's content was erased.
    """
    row = await existing_session(services, who, session, Scope.SESSIONS_WRITE)
    key = await services.subject_key(who.tenant, row.subject)
    outcome = await sessions.lift_invalidation(
        services.db,
        who.tenant,
        session,
        invalidation,
        only=who.only(Scope.SESSIONS_WRITE),
        reason=_sealed(services, key, reason),
        by=who.principal,
    )
    _check_session(session, outcome)
    return await _view(services, row, key, invalidation)


async def list_invalidations(services: Services, who: Who, session: UUID) -> InvalidationList:
    """What was marked in a session, oldest first, and what of it was lifted.

    Raises:
        NotFound: there is no such session.
        SessionDeleted: it was deleted.
    """
    row = await existing_session(services, who, session, Scope.SESSIONS_READ)
    try:
        key = await services.subject_key(who.tenant, row.subject)
    except Erased:
        key = None
    found = await sessions.list_invalidations(services.db, who.tenant, session)
    return InvalidationList(items=[_shown(one, key) for one in found])


async def _found(services: Services, row: SessionRow, key: SubjectKey, what: Span | str) -> tuple[Span, Sequence[str]]:
    """The messages meant, by place and by reference."""
    run = what.run if isinstance(what, Span) else _run_of(what)
    if row.last_run is None or not await is_run_of(services, row, run):
        raise InvalidInput(f"Run {run} has no messages in the history of session {row.id}.")
    conversations = Conversations(services, row, key)
    current = own(run, await conversations.of(row.last_run))
    mine = await conversations.own(run) if current else []
    if isinstance(what, str):
        if what not in current:
            raise InvalidInput(f"There is no message '{what}' in the history of session {row.id}.")
        place = mine.index(what) + 1
        return Span(run, place, place), [what]
    if not 1 <= what.first <= what.last <= len(mine) or not (refs := _within(what, mine, current)):
        raise InvalidInput(
            f"Run {run} has {len(mine)} messages in the history of session {row.id}, at places from 1; there is no "
            f"span from {what.first} to {what.last}."
        )
    if what.last - what.first >= SPAN_MOST:
        raise InvalidInput(f"The span has {what.last - what.first + 1} messages; the most is {SPAN_MOST}.")
    return what, refs


def _within(span: Span, mine: Sequence[str], current: Sequence[str]) -> list[str]:
    # A later run's own code may have dropped some of them from the history: they are not given as it is.
    return [ref for ref in mine[span.first - 1 : span.last] if ref in current]


def _run_of(ref: str) -> UUID:
    match = _REF.fullmatch(ref)
    if match is None:
        raise InvalidInput("A message is named as `GET /v1/sessions/{id}` does: `<run>/<64 hexadecimal digits>`.")
    return UUID(match[1])


def _sealed(services: Services, key: SubjectKey, reason: str) -> Sealed:
    if not check_text(reason, what="reason").strip():
        raise InvalidInput("The reason is empty. Say why: whoever reads the session later is told.")
    return key.seal(to_json(reason, what="reason", max_bytes=services.max_content_bytes))


def _check_session(session: UUID, outcome: str) -> None:
    if outcome == "absent":
        raise no_session()
    if outcome == "deleted":
        raise SessionDeleted.of(session)
    if outcome == "unknown":
        raise NotFound("There is no invalidation with this id in the session. `GET …/invalidations` lists them.")


async def _view(services: Services, row: SessionRow, key: SubjectKey, id_: UUID) -> InvalidationView:
    found = await sessions.list_invalidations(services.db, row.tenant, row.id)
    return _shown(next(one for one in found if one.id == id_), key)


def _shown(row: InvalidationRow, key: SubjectKey | None) -> InvalidationView:
    lifted = None
    if row.lifted_digest is not None and row.lifted_reason is not None:
        lifted = show(None if key is None else key.open(row.lifted_digest, row.lifted_reason))
    return InvalidationView(
        id=row.id,
        run=row.run,
        first=row.first,
        last=row.last,
        messages=list(row.messages),
        reason=show(None if key is None else key.open(row.reason_digest, row.reason)),
        by=row.by,
        at=row.at,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lifted_reason=lifted,
    )
