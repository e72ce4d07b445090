"""Whether a session can be gone on with: retention may have dropped what it was about."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.errors import HistoryGone
from holdfast.service.contents import parse

if TYPE_CHECKING:
    from holdfast.domain.principal import Who
    from holdfast.service.services import Services
    from holdfast.store.runs import SessionRow
    from holdfast.store.vault import SubjectKey

_FIRST_EVENTS = 16
"""Within these a run has made its first request: it is accepted, claimed a few times, told something."""


async def check_history(services: Services, who: Who, session: SessionRow, key: SubjectKey) -> None:
    """Refuse a session of which a part is gone. A few rows are read, whatever its length.

    A run's content goes as a whole, so one message of each run that the last one began with tells of them all. Should
    retention come between this and the run, the run fails with the same error.

    Raises:
        HistoryGone: naming the session and the run.
    """
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
