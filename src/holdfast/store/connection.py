"""Connections on which no wait is without end, though the other side vanish without a word.

Three bounds, each for what the others do not see. *Connecting* takes `connect_timeout` at most. A machine or a way that
is gone is noticed by the *kernel*, by probes and unacknowledged bytes, in about 25 s. A peer that still acknowledges
and never answers, as a stopped server or a proxy that lost its other half does, is noticed *here*: a statement whose
answer takes longer than the server itself may take for it has no answer any more, and the socket is shut down. Whoever
waits then sees a lost connection, which all of the store knows how to deal with.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncPipeline, generators
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.store.query import query

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from psycopg.abc import PQGen

RV = TypeVar("RV")

SILENCE_S = 65.0
"""How long a statement may go unanswered, where nothing else was said."""

_LOOK_S = 0.1
_BOUNDS = {
    "connect_timeout": 10,
    # Of an idle connection: a probe after 10 s of silence, given up 15 s later.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Of one that has something to send, in milliseconds: probes wait for it.
    "tcp_user_timeout": 25_000,
}


def with_bounds(url: str, **defaults: Any) -> str:
    """The conninfo of `url`, with these defaults and the bounds that the kernel keeps, where it does not say itself."""
    given = conninfo_to_dict(url)
    wanted = {**_BOUNDS, **defaults}
    return make_conninfo(url, **{name: value for name, value in wanted.items() if not given.get(name)})


class Connection(AsyncConnection[Any]):
    """A connection of the event loop's. Every wait of psycopg's passes by `wait`."""

    silence_s = SILENCE_S
    _waiting_since: float | None = None
    _watch: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", *, ready: Any = None, patience: Any = None, **kwargs: Any) -> Self:
        """As psycopg's.

        Args:
            conninfo: of the server.
            ready: a list of such connections that stand already; one of them is given as long as there are any.
            patience: the `Patience` with which a server is asked that lets nobody in; without, it is asked once.
            kwargs: as psycopg has them.

        Raises:
            psycopg.OperationalError: the database cannot be reached.
        """
        if ready:
            return ready.pop()
        connect = partial(super().connect, conninfo, **kwargs)
        return await (connect() if patience is None else patience.connected(connect))

    @asynccontextmanager
    async def together(self, tenant: UUID) -> AsyncGenerator[None]:
        """What is executed in the block is one transaction in the scope of `tenant`, and goes out as one message.

        That message leaves when the block ends, and so does the scope, whatever came of it.
        """
        self._pipeline = _OneMessage(self)
        try:
            async with self._pipeline:
                await self.execute(query("set_tenant"), {"tenant": str(tenant)})
                yield
        finally:
            self._pipeline = None

    async def wait(self, gen: PQGen[RV], interval: float = _LOOK_S, timeout: float | None = None) -> RV:  # noqa: ASYNC109 - as psycopg has it
        """As psycopg's, no longer than `silence_s`.

        Raises:
            psycopg.OperationalError: there was no answer.
        """
        self._waiting_since = monotonic()
        if self._watch is None:
            self._watch_for(self.silence_s)
        try:
            if timeout is None:
                return await super().wait(gen, interval)
            return await super().wait(gen, interval, timeout)
        finally:
            self._waiting_since = None

    def _watch_for(self, wait_s: float) -> None:
        # One timer for many waits, nearly all of which are over long before it rings: to set one for each costs more
        # than to look once in a while. In a context of its own: it outlives whoever waits now.
        self._watch = asyncio.get_running_loop().call_later(wait_s, self._look, context=Context())

    def _look(self) -> None:
        self._watch = None
        if self._waiting_since is None or self.closed:
            return
        left_s = self._waiting_since + self.silence_s - monotonic()
        if left_s > 0:
            self._watch_for(left_s)
        else:
            self.cut()

    def cut(self) -> None:
        """End the socket: whatever waits for it finds a lost connection."""
        if not self.closed:
            # By a descriptor of our own: libpq closes its own when it comes to it, and nobody else may.
            with socket.socket(fileno=os.dup(self.fileno())) as twin, suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)


class _OneMessage(AsyncPipeline):
    """A pipeline that sends nothing before its end.

    psycopg's own sends each statement by itself, and asks for what came of it by a message more: each of them wakes the
    server, which costs more than the statement that sets a tenant.
    """

    def _communicate_gen(self) -> PQGen[None]:
        yield from ()

    def _exit_gen(self) -> PQGen[None]:
        self._enqueue_sync()
        while self.command_queue:
            self.command_queue.popleft()()
        yield from generators.send(self.pgconn)
        yield from self._fetch_gen(flush=False)


class ThreadConnection(psycopg.Connection[Any]):
    """A connection of a thread of its own."""

    silence_s = SILENCE_S

    def wait(self, gen: PQGen[RV], interval: float = _LOOK_S, timeout: float | None = None) -> RV:
        """As psycopg's, no longer than `silence_s`. The connection is of no use after that; close it.

        Raises:
            psycopg.OperationalError: there was no answer.
        """
        bounded = _until(monotonic() + self.silence_s, gen)
        if timeout is None:
            return super().wait(bounded, interval)
        return super().wait(bounded, interval, timeout)


def _until(deadline: float, gen: PQGen[RV]) -> PQGen[RV]:
    """`gen`, given up at the first look after the deadline that finds nothing."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready and monotonic() >= deadline:
                raise psycopg.OperationalError("the server did not answer in time")
            state = gen.send(ready)
    except StopIteration as ended:
        return ended.value
