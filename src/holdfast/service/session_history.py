"""Whether a session can be gone on with: it may be another's, or deleted, or retention dropped what it was about."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.errors import HistoryGone, InvalidInput, NotFound, SessionDeleted
from holdfast.domain.rights import may_join_others
from holdfast.service.contents import parse
from holdfast.store.sessions import get_session

if TYPE_CHECKING:
    from holdfast.domain.principal import Who
    from holdfast.service.services import Services
    from holdfast.store.sessions import SessionRow
    from holdfast.store.vault import SubjectKey

_FIRST_EVENTS = 16
"""Within these a run has made its first request: it is accepted, claimed a few times, told something."""


async def joinable(services: Services, who: Who, session: UUID, *, shared: bool) -> SessionRow | None:
    """The conversation that a run is to go on with, or None where it is new: it is made with the run.

    One's own, or where the task shares, any that one may read and write anyway: so nothing of a conversation comes by
    way of an agent to somebody who could not have it by asking.

    Raises:
        NotFound: it is another's.
    """
    open_to_all = shared and may_join_others(who.rights)
    found = await get_session(services.db, who.tenant, session)
    if found is not None and found.principal != who.principal and not open_to_all:
        raise no_session()
    return found


def check_session_id(session: UUID | None) -> None:
    """Refuse an id of a session that can be guessed, before it is looked up.

    Ids are one space in a tenant: who may act on any session names it by its id alone. So whoever comes with another's
    id is refused where a new one would have been begun, and learns that it is taken; and who knows ahead which id
    another will choose can begin it first. Neither is of use to anybody who has to guess at random.

    Raises:
        InvalidInput: it says of itself that it was not chosen at random.
    """
    if session is not None and session.version not in {4, 7}:
        raise InvalidInput(
            "The id of a session has to be a random UUID, of version 4 or 7: one that is made of a name, a number or a "
            "time can be guessed by others of your tenant, who could begin the session before you."
        )


def no_session() -> NotFound:
    """The error that says so; it tells nothing of others' sessions."""
    return NotFound(
        "There is no session with this id. `GET /v1/sessions` or `holdfast sessions ls` lists those there are; a run "
        "begins one under a new id."
    )


async def check_history(services: Services, who: Who, session: SessionRow, key: SubjectKey) -> None:
    """Refuse a session that was deleted, or of which a part is gone. A few rows are read, whatever its length.

    A run's content goes as a whole, so one message of each run that the last one began with tells of them all. Should
    retention come between this and the run, the run fails with the same error.

    Raises:
        SessionDeleted: it was deleted.
        HistoryGone: naming the session and the run.
    """
    if session.deleted_at is not None:
        raise SessionDeleted.of(session.id)
    if session.last_run is None:
        return
    first = await services.journal(who.tenant, session.last_run, limit=_FIRST_EVENTS)
    if not first:
        raise HistoryGone.of(session.id, session.last_run)
    asked = next((event.load() for event in first if event.type == ev.ModelRequested.type), None)
    if not isinstance(asked, ev.ModelRequested):
        return
    refs = list(asked.messages.add)
    if asked.messages.more is not None:
        stored = await services.blobs(who.tenant, session.last_run, [asked.messages.more])
        for ref, body in stored.items():
            refs = parse(key.open(bytes.fromhex(ref), body))
    for run in {owner for owner, _, _ in (ref.rpartition("/") for ref in refs) if owner}:
        if not await services.journal(who.tenant, UUID(run), limit=1):
            raise HistoryGone.of(session.id, UUID(run))
