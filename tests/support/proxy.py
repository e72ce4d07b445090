"""A TCP proxy in front of PostgreSQL that cuts connections where a test says.

    async with Proxy(database.worker_url) as proxy:
        async with Database.open(proxy.url, role="worker") as db: ...
        proxy.cut_reply(b"holdfast.append")     # the next such statement reaches the server, its reply is lost
        proxy.cut_request(b"holdfast.append")   # the next such statement never reaches the server
        proxy.swallow(b"holdfast.append")       # the next connection that sends this falls silent, and stays open
        proxy.cut_all()                         # every connection, now
        proxy.refuse()                          # no new connections either ... until proxy.accept()

A *cut* ends both sides abruptly. `cut_reply` waits until the server has begun to answer, so the statement was
executed and, in autocommit, committed. A statement is recognised by bytes in it; a prepared one carries none after
its first execution, so use `cut_reply()` without bytes for "whatever is sent next on a connection that said so before".
`await proxy.cuts.wait(n)` returns once n cuts have happened.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK_BYTES = 65536


class Count:
    """A number that a test can wait for."""

    def __init__(self) -> None:
        self.value = 0
        self._changed = asyncio.Condition()

    async def add(self) -> None:
        async with self._changed:
            self.value += 1
            self._changed.notify_all()

    async def wait(self, value: int, timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self.value >= value)


@dataclass(eq=False)
class _Link:
    """One client's connection and its twin to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    seen: bytearray = field(default_factory=bytearray)
    drop_replies: bool = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class Proxy:
    """Listens on a port of its own and carries bytes to the server of `url`, TCP or Unix socket."""

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut_request: bytes | None = None
        self._cut_reply: bytes | None = None
        self._swallow: bytes | None = None
        self._refusing = False
        self._holding = asyncio.Event()
        self._holding.set()
        self.cuts = Count()
        self.swallowed = Count()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = make_conninfo(**{**self._target, "host": "127.0.0.1", "port": port, "sslmode": "disable"})
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_request(self, marker: bytes) -> None:
        """Cut the next connection that sends `marker`, before the server sees it."""
        self._cut_request = marker

    def cut_reply(self, marker: bytes) -> None:
        """Let the next request with `marker` through, and cut in place of its reply."""
        self._cut_reply = marker

    def swallow(self, marker: bytes) -> None:
        """Let the next connection that sends `marker` fall silent for good, from that request on: a way that is gone.

        Neither side hears of it: what the client sends from then on is read and dropped.
        """
        self._swallow = marker

    def cut_all(self) -> None:
        """Cut every connection now."""
        for link in list(self._links):
            link.cut()

    def refuse(self) -> None:
        """Accept no new connection from now on."""
        self._refusing = True

    def accept(self) -> None:
        """Accept connections again."""
        self._refusing = False

    def hold(self) -> None:
        """Carry no bytes in either direction until `resume`: a network that swallows everything."""
        self._holding.clear()

    def resume(self) -> None:
        self._holding.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        host, port = self._target.get("host", "127.0.0.1"), int(self._target.get("port") or 5432)
        try:
            if str(host).startswith("/"):
                server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            else:
                server = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()  # the server is away: whoever came must not wait for it here
            return
        link = _Link(writer, server[1])
        self._links.add(link)
        for coroutine in (self._requests(link, reader), self._replies(link, server[0])):
            task = asyncio.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._holding.wait()
                if self._swallow is not None and self._swallow in data:
                    self._swallow = None
                    await self.swallowed.add()
                    while await reader.read(_CHUNK_BYTES):
                        pass
                    break
                if self._cut_request is not None and self._cut_request in data:
                    self._cut_request = None
                    await self.cuts.add()
                    break
                if self._cut_reply is not None and self._cut_reply in data:
                    self._cut_reply = None
                    link.drop_replies = True
                link.server.write(data)
                await link.server.drain()
        self._end(link)

    async def _replies(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._holding.wait()
                if link.drop_replies:
                    await self.cuts.add()
                    break
                link.client.write(data)
                await link.client.drain()
        self._end(link)

    def _end(self, link: _Link) -> None:
        self._links.discard(link)
        link.cut()
