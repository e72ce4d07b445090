"""An export on the wire: begun before the answer is, and broken off where nobody takes it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog
from starlette.responses import StreamingResponse

from holdfast.domain.errors import OperatorError, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.types import Message, Receive, Scope, Send

EXPORT_IDLE_S = 30.0
"""How long a reader may take nothing. The connection waits in an open snapshot meanwhile, for which the server keeps
what everybody deletes. It ends a session that waits like this for a minute by itself."""
_log = structlog.get_logger("holdfast.api")


class _Untaken(Exception):
    """The reader takes nothing."""


async def export_response(lines: AsyncGenerator[bytes, None], idle_s: float) -> ExportResponse:
    """The lines as an answer, once the first is there.

    Raises:
        HoldfastError: what `lines` raises before its first: a problem, and no answer that has begun.
    """
    return ExportResponse(await anext(lines), lines, idle_s)


class ExportResponse(StreamingResponse):
    """Lines, of which none is sent without the last being taken. However it ends, they are closed by then."""

    def __init__(self, first: bytes, lines: AsyncGenerator[bytes, None], idle_s: float) -> None:
        super().__init__(_all(first, lines), media_type="application/jsonl")
        self._lines, self._idle_s = lines, idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette's."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._lines.aclose()

    async def stream_response(self, send: Send) -> None:
        """As Starlette's. What ends early is left unfinished: HTTP then tells the reader that it is not complete."""
        try:
            await super().stream_response(partial(self._give, send))
        except _Untaken:
            _log.warning("export_interrupted", error=f"the reader took nothing for {self._idle_s:g} s")
        except (OperatorError, RequestError) as error:
            _log.warning("export_interrupted", error=str(error))

    async def _give(self, send: Send, message: Message) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                await send(message)
        except TimeoutError:
            raise _Untaken from None


async def _all(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in lines:
        yield line
