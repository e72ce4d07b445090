"""Server-sent events: items of a run's stream on the wire, with heartbeats between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import structlog
from starlette.responses import StreamingResponse

from holdfast.domain.errors import OperatorError, RequestError
from holdfast.service.views import DeltaView, EventView, StreamItem, VoidView

if TYPE_CHECKING:
    from uuid import UUID

HEARTBEAT_S = 15.0
RETRY_MS = 1000
_HEADERS = {"X-Accel-Buffering": "no"}
_log = structlog.get_logger("holdfast.api")


def stream_response(run: UUID, items: AsyncGenerator[StreamItem, None], heartbeat_s: float) -> StreamingResponse:
    """The items as an event stream that lives as long as the client and the items last."""
    return StreamingResponse(_lines(run, items, heartbeat_s), media_type="text/event-stream", headers=_HEADERS)


def encode(item: StreamItem) -> bytes:
    """One item as a server-sent event. JSON has no line breaks, so its data is one line."""
    match item:
        case EventView():
            name = item.type
        case DeltaView():
            name = "delta"
        case VoidView():
            name = "attempt_void"
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (item.id.encode(), name.encode(), item.model_dump_json().encode())


async def _lines(run: UUID, items: AsyncGenerator[StreamItem, None], heartbeat_s: float) -> AsyncIterator[bytes]:
    # The first bytes at once: proxies and clients then know that the stream stands.
    yield b"retry: %d\n\n" % RETRY_MS
    try:
        async with aclosing(items):
            async for item in _with_heartbeats(items, heartbeat_s):
                yield b": heartbeat\n\n" if item is None else encode(item)
    except OperatorError as error:
        # The answer has begun; ending it makes the client come back with the place it has reached.
        _log.warning("event_stream_interrupted", run=str(run), error=str(error))
        yield b": interrupted; connect again\n\n"
    except RequestError:
        # The reader may not see the run any more. Connecting again tells them what a new request is told.
        yield b": ended; connect again\n\n"


async def _with_heartbeats(
    items: AsyncGenerator[StreamItem, None], heartbeat_s: float
) -> AsyncIterator[StreamItem | None]:
    """The items, and None whenever there was none for so long."""
    waiting: asyncio.Task[StreamItem] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(items))
            done, _ = await asyncio.wait({waiting}, timeout=heartbeat_s)
            if not done:
                yield None
                continue
            try:
                item = waiting.result()
            except StopAsyncIteration:
                return
            waiting = None
            yield item
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
