"""Follow a run: durable events and live text, from any place, on any replica, without gap or duplicate."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.errors import InvalidCursor
from holdfast.domain.principal import Who
from holdfast.service.contents import Contents, parse
from holdfast.service.cursor import StreamCursor
from holdfast.service.event_view import ReadEvent
from holdfast.service.existing import existing_run
from holdfast.service.hearing import POLL_S, Hearing
from holdfast.service.services import Services
from holdfast.service.standing import Standing
from holdfast.service.stream import Stream
from holdfast.service.views import StreamItem
from holdfast.store.live import live_context, read_live

BATCH = 100
"""Events read at once."""


class Watch:
    """One reader's way along a run's stream. Made by `open_watch`."""

    def __init__(
        self, services: Services, tenant: UUID, run: UUID, contents: Contents, stream: Stream, *, deltas: bool
    ) -> None:
        self._services = services
        self._tenant = tenant
        self._run = run
        self._contents = contents
        self._stream = stream
        self._deltas = deltas
        self.ended = False

    def hear(self) -> Hearing:
        """Hints of what this reader is after."""
        return Hearing(self._services, self._run, live=self._deltas)

    async def check(self, standing: Standing) -> None:
        """Look whether the reader still may. Raises as `follow`."""
        if await standing.changed():
            await existing_run(self._services, standing.who, self._run)

    async def recall(self) -> None:
        """Learn which responses are open where the reader stands."""
        for stored in await live_context(self._services.db, self._tenant, self._run, self._stream.cursor.seq):
            read = ReadEvent.of(stored)
            if read.event is not None:
                self._stream.recall(read.seq, read.event)
        self._stream.forget_closed()

    async def look(self) -> list[StreamItem]:
        """What there is to give now: durable events, or where there are none, live text."""
        after = self._stream.cursor.seq
        page = await self._services.journal(self._tenant, self._run, after=after, limit=BATCH)
        if page:
            return await self._durable([ReadEvent.of(stored) for stored in page])
        return await self._live() if self._deltas and self._stream.open else []

    async def _durable(self, page: list[ReadEvent]) -> list[StreamItem]:
        responses = {read.seq: _response_ref(read) for read in page} if self._deltas else {}
        refs = [ref for read in page for ref in read.refs.values()]
        plain = await self._contents.plain([*refs, *(ref for ref in responses.values() if ref)])
        items: list[StreamItem] = []
        for read in page:
            if read.event is None:
                self._stream.cursor.seq = read.seq
                items.append(read.view(plain))
                continue
            response = plain.get(responses.get(read.seq) or "")
            if self._deltas:
                items += self._stream.before(read.event, None if response is None else parse(response))
            items.append(read.view(plain, self._stream.deliver(read.seq, read.event)))
            self.ended = self.ended or read.ends
        return items

    async def _live(self) -> list[StreamItem]:
        key = await self._contents.key()
        if key is None:
            return []
        stream = self._stream
        seen = [
            (seq, one.attempt, part, offset)
            for seq, one in stream.cursor.seen.items()
            for part, offset in one.parts.items()
        ]
        rows = await read_live(self._services.db, self._tenant, self._run, key, stream.open, seen)
        return list(stream.text_of(rows))


async def watch_events(
    services: Services, who: Who, run: UUID, *, after: str = "", deltas: bool = True, poll_s: float = POLL_S
) -> AsyncGenerator[StreamItem, None]:
    """Every item of the run's stream behind `after`, as it comes, until the run's last event.

    Args:
        services: what this process has.
        who: the one who asks.
        run: the run.
        after: the id of the last item seen; empty for the beginning.
        deltas: whether to give the text of responses also apart from the events that record them.
        poll_s: seconds between looks when no hint arrives.

    Raises:
        NotFound: there is no such run.
        InvalidCursor: `after` is not a place in this stream.
    """
    watch = await open_watch(services, who, run, after, deltas=deltas)
    if watch is not None:
        async for item in follow(watch, Standing(who), poll_s=poll_s):
            yield item


async def open_watch(services: Services, who: Who, run: UUID, after: str, *, deltas: bool = True) -> Watch | None:
    """A reader at `after`; None where that is the end of a run that has ended.

    Raises:
        NotFound: there is no such run.
        InvalidCursor: `after` is not a place in this stream.
    """
    cursor = StreamCursor.parse(after)
    row = await existing_run(services, who, run)
    if cursor.seq > row.seq:
        raise InvalidCursor(f"'{after[:80]}' is not a place in this stream: it has {row.seq} events so far.")
    if row.state.is_final and cursor.seq == row.seq:
        return None
    contents = Contents(services, row)
    return Watch(services, who.tenant, run, contents, Stream(cursor), deltas=deltas)


async def follow(watch: Watch, standing: Standing, *, poll_s: float = POLL_S) -> AsyncGenerator[StreamItem, None]:
    """The items from where `watch` stands, as they come, until the run's last event.

    Raises:
        NotFound, MissingScope, Unauthenticated: they may not see the run any more. Noticed within a second or two.
    """
    with watch.hear() as hearing:
        await watch.recall()
        while not watch.ended:
            await watch.check(standing)
            items = await watch.look()
            for item in items:
                await watch.check(standing)  # a slow reader may take a page for long
                yield item
            if not items:
                await hearing.wait(poll_s)


def _response_ref(read: ReadEvent) -> str | None:
    """What the model said: as it was heard live, not as hooks changed it afterwards."""
    event: Any = read.event
    return event.raw or event.response if isinstance(event, ev.ModelResponded) else None
