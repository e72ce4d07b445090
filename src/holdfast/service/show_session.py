"""A conversation as the model would be given it, with what it is not given any more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import orjson

from holdfast.domain.conversation import own
from holdfast.domain.errors import HistoryGone, InvalidCursor
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.contents import parse, show
from holdfast.service.manage_sessions import existing_session, session_view
from holdfast.service.run_view import row_view
from holdfast.service.services import Services
from holdfast.service.session_views import MessageView, PartView, SessionStoryView
from holdfast.store import sessions
from holdfast.store.conversation import read_conversation
from holdfast.store.runs import get_run
from holdfast.store.sessions import SessionRow
from holdfast.store.vault import Erased, SubjectKey

PAGE = 50
PAGE_MOST = 200
RUNS_MOST = 50
_CURSOR = re.compile(r"([0-9a-f-]{36})\.([1-9][0-9]{0,8})", re.ASCII)


class Conversations:
    """The conversations that the runs of one session left, each read once."""

    def __init__(self, services: Services, session: SessionRow, key: SubjectKey) -> None:
        self._services, self._session, self._key = services, session, key
        self._read: dict[UUID, list[str]] = {}

    async def of(self, run: UUID) -> list[str]:
        """The references of all messages, as this run left them.

        Raises:
            HistoryGone: retention dropped the run.
        """
        if run not in self._read:
            services, tenant = self._services, self._session.tenant
            found = await services.db.repeat(lambda: read_conversation(services.reader, tenant, run, self._key))
            if found is None:
                raise HistoryGone.of(self._session.id, run)
            self._read[run] = found
        return self._read[run]

    async def own(self, run: UUID) -> list[str]:
        """Those that came into the conversation by this run, in the order of their places."""
        return own(run, await self.of(run))


async def show_session(
    services: Services, who: Who, session: UUID, *, cursor: str | None = None, limit: int = PAGE
) -> SessionStoryView:
    """The session, its newest runs, and a page of its messages, oldest first.

    Raises:
        NotFound: there is no such session.
        SessionDeleted: it was deleted.
        InvalidCursor: `cursor` was not made for this session.
        HistoryGone: retention dropped a part of it.
    """
    row = await existing_session(services, who, session, Scope.SESSIONS_READ)
    runs = await sessions.list_session_runs(services.db, who.tenant, session, limit=RUNS_MOST)
    place = await _Place.parse(services, row, cursor) if cursor else _Place(row.last_run, 0)
    messages, more, erased = list[MessageView](), None, False
    if place.run is not None:
        try:
            key = await services.subject_key(who.tenant, row.subject)
        except Erased:
            erased = True
        else:
            messages, more = await _messages(services, row, key, place.run, place.after, limit)
    return SessionStoryView(
        session=session_view(row), runs=[row_view(run) for run in runs], messages=messages, erased=erased, next=more
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """A place among the messages, as one run left them: a conversation that goes on does not move it."""

    run: UUID | None
    after: int

    @classmethod
    async def parse(cls, services: Services, session: SessionRow, text: str) -> _Place:
        found = _CURSOR.fullmatch(text)
        run = None if found is None else UUID(found[1])
        if found is None or run is None or not await is_run_of(services, session, run):
            raise InvalidCursor(
                f"'{text[:80]}' is not a cursor of this session. Send the `next` of the page before, or nothing to "
                "begin at the first message."
            )
        return cls(run, int(found[2]))


async def is_run_of(services: Services, session: SessionRow, run: UUID) -> bool:
    """Whether there is such a run in this session."""
    found = await get_run(services.db, session.tenant, run)
    return found is not None and found.session == session.id


async def _messages(
    services: Services, session: SessionRow, key: SubjectKey, last: UUID, after: int, limit: int
) -> tuple[list[MessageView], str | None]:
    conversations = Conversations(services, session, key)
    refs = await conversations.of(last)
    page = refs[after : after + limit]
    stored = await services.blobs(session.tenant, last, page)
    in_force = await sessions.list_invalidations(services.db, session.tenant, session.id, in_force=True)
    views = list[MessageView]()
    for ref in page:
        run, digest = ref.split("/")
        if ref not in stored:
            raise HistoryGone.of(session.id, UUID(run))
        views.append(
            MessageView(
                ref=ref,
                run=UUID(run),
                place=(await conversations.own(UUID(run))).index(ref) + 1,
                invalidations=[one.id for one in in_force if ref in one.messages],
                **_said(parse(key.open(bytes.fromhex(digest), stored[ref]))),
            )
        )
    end = after + len(page)
    return views, f"{last}.{end}" if end < len(refs) else None


def _said(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": message["kind"], "parts": [_part(part) for part in cast("Iterable[Any]", message["parts"])]}


def _part(part: Mapping[str, Any]) -> PartView:
    said = part.get("content", part.get("args"))
    return PartView(
        kind=part["part_kind"],
        tool=part.get("tool_name"),
        call=part.get("tool_call_id") if part.get("tool_name") else None,
        content=show(orjson.dumps(said)),
    )
