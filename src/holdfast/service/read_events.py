"""Durable events of a run, in pages: for those who poll."""

from __future__ import annotations

from uuid import UUID

from holdfast.domain.errors import InvalidCursor
from holdfast.domain.principal import Who
from holdfast.service.contents import Contents
from holdfast.service.cursor import StreamCursor
from holdfast.service.event_view import ReadEvent
from holdfast.service.existing import existing_run
from holdfast.service.services import Services
from holdfast.service.views import EventPage

PAGE = 100
PAGE_MOST = 1000


async def read_events(services: Services, who: Who, run: UUID, *, after: str = "", limit: int = PAGE) -> EventPage:
    """At most `limit` events behind the place `after`; none where nothing has happened since.

    Raises:
        NotFound: there is no such run.
        InvalidCursor: `after` is not a place in this run's stream.
    """
    cursor = StreamCursor.parse(after)
    row = await existing_run(services, who, run)
    if cursor.seq > row.seq:
        raise InvalidCursor(f"'{after[:80]}' is not a place in this stream: it has {row.seq} events so far.")
    page = await services.journal(who.tenant, run, after=cursor.seq, limit=limit)
    reads = [ReadEvent.of(stored) for stored in page]
    contents = Contents(services, row)
    plain = await contents.plain(ref for read in reads for ref in read.refs.values())
    last = reads[-1].seq if reads else cursor.seq
    return EventPage(
        items=[read.view(plain) for read in reads],
        next=str(last),
        ended=row.state.is_final and last >= row.seq,
    )
