"""One client's HTTP/1.1 connection.

Why not an ASGI server: this one has to misbehave on the wire (stop in the middle of a body, cut a stream,
hang until the client is gone) and has to know whether the client was still there at the last byte. ASGI
servers hide exactly that from their applications.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

T = TypeVar("T")

_HEAD_MAX = 64 * 1024
_PHRASES = {each.value: each.phrase for each in HTTPStatus}


class ClientGoneError(Exception):
    """The client closed the connection before it had its answer."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, read in full. Header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Handler: TypeAlias = Callable[[HttpRequest, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """Reads requests one after the other and gives each to `handle`, which answers through this object."""

    def __init__(self, handle: Handler, connections: set[Connection]) -> None:
        self._handle = handle
        self._connections = connections
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = self._loop.create_future()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        # A cast, since uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The connection ended, by whichever side."""
        self._connections.discard(self)
        if not self._gone.done():
            self._gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._buffer += data
        self._read_next()

    # What an answer is made with.

    def respond(
        self,
        status: int,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        send_bytes: int | None = None,
    ) -> None:
        """Send a whole JSON answer, or with `send_bytes` only the beginning of what its length promises."""
        head = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        self._write(_head(status, head) + (body if send_bytes is None else body[:send_bytes]))

    def begin_stream(self) -> None:
        """Begin an answer of server-sent events."""
        head = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        self._write(_head(200, {**head, "transfer-encoding": "chunked"}))

    def stream(self, data: bytes) -> None:
        """Send one piece of a stream at once."""
        self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        """End a stream as it should end."""
        self._write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection. What was written arrives; the client sees the answer end too early."""
        self._transport.close()

    async def pause(self, seconds: float | None) -> None:
        """Wait `seconds` (`None`: for ever). Raises `ClientGoneError` as soon as the client is gone."""
        await asyncio.wait({self._gone}, timeout=seconds)
        self._check()

    async def unless_gone(self, awaitable: Awaitable[T]) -> T:
        """The result of `awaitable`. Cancels it and raises `ClientGoneError` once the client is gone."""
        task = asyncio.ensure_future(awaitable)
        try:
            await asyncio.wait({task, self._gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientGoneError
            return task.result()
        finally:
            if task.cancel():
                await asyncio.wait({task})

    async def stop(self) -> None:
        """End what is being answered and drop the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._transport.abort()

    def _check(self) -> None:
        if self._gone.done() or self._transport.is_closing():
            raise ClientGoneError

    def _write(self, data: bytes) -> None:
        # No back-pressure: an answer is small, and a client stopped on purpose must not stop the server.
        self._check()
        self._transport.write(data)

    def _read_next(self) -> None:
        if self._task is not None or self._transport.is_closing():
            return
        try:
            request = _take_request(self._buffer)
        except ValueError as error:
            self.respond(400, b'{"error":{"message":"%b","type":"invalid_request_error"}}' % str(error).encode())
            self.cut()
            return
        if request is not None:
            self._task = self._loop.create_task(self._serve(request))

    async def _serve(self, request: HttpRequest) -> None:
        try:
            await self._handle(request, self)
            if request.headers.get("connection", "").lower() == "close":
                self.cut()
        except ClientGoneError:
            pass
        except Exception as error:  # noqa: BLE001 - the last place to notice it
            # A fault of this server, not of a script: never let it look like a provider's error.
            self._loop.call_exception_handler({"message": "model server: cannot answer", "exception": error})
            self.cut()
        finally:
            self._task = None
        self._read_next()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Error')}\r\n{lines}\r\n".encode("latin-1", "replace")


def _take_request(buffer: bytearray) -> HttpRequest | None:
    """Take the first request out of `buffer`, if it is there in full. Raises `ValueError` for broken HTTP."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _HEAD_MAX:
            raise ValueError("the head of the request is too long")
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        raise ValueError("send the body with Content-Length; chunked bodies are not read here")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise ValueError("Content-Length is not a number")
    start = end + 4
    if len(buffer) < start + int(length):
        return None
    body = bytes(buffer[start : start + int(length)])
    del buffer[: start + int(length)]
    return _request(first, headers, body)


def _request(first: str, headers: dict[str, str], body: bytes) -> HttpRequest:
    try:
        method, target, _version = first.split(" ")
    except ValueError:
        raise ValueError("the request line is not HTTP/1.1") from None
    parts = urlsplit(target)
    return HttpRequest(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)
