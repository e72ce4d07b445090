"""Hints between processes: look again, something may have changed.

After a commit a process calls `notify` with an opaque payload: `QUEUED` (something is queued), `HALTS` (a
halt was declared or lifted), `changed(run)` (its journal grew or its state changed), `signalled(run)` (its
inbox grew), `live(run)` (live text). Whoever delivers a signal sends both `changed` and `signalled`: the
holder of a run listens to the latter only, and so does not wake at its own appends.

One notifier connection sends what gathers within a few milliseconds in one statement: NOTIFY inside the
transactions that write would make them commit one after another. One listener connection hears the hints of
all processes and wakes those who subscribed; hints of this process wake its own subscribers at once as well.

A hint is never needed for correctness. Either connection may be lost at any time; it is made again, and
every subscriber is then woken once to look for itself. All who wait on hints also poll.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from psycopg import sql

from holdfast.store import arrays
from holdfast.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from holdfast.store.connection import Connection
    from holdfast.store.pool import Database

CHANNEL = "holdfast"
QUEUED = "q"
"""Something is queued."""

HALTS = "h"
"""A halt was declared or lifted."""

_LISTEN = sql.SQL("listen {}").format(sql.Identifier(CHANNEL))
_PENDING_MOST = 10_000
_CHECK_S = 15.0
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.05, 5.0


def changed(run: UUID) -> str:
    """The run's journal grew, or its state changed."""
    return f"r:{run}"


def signalled(run: UUID) -> str:
    """The run's inbox grew."""
    return f"s:{run}"


def live(run: UUID) -> str:
    """There is live text of the run."""
    return f"l:{run}"


class Subscription:
    """Wakes one waiter at hints with certain payloads, or with payloads of certain beginnings."""

    def __init__(self, hints: Hints, topics: tuple[str, ...]) -> None:
        self._hints, self.topics = hints, topics
        self._payloads: set[str] = set()
        self._woken = asyncio.Event()

    async def wait(self, timeout_s: float) -> set[str]:
        """The payloads heard since the last call, as soon as there is one.

        An empty set says to look anyway: time is up, or hints may have been missed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        self._woken.clear()
        heard, self._payloads = self._payloads, set()
        return heard

    def wake(self, payload: str | None = None) -> None:
        """Wake the waiter: with a payload, or to look for itself."""
        if payload is not None:
            self._payloads.add(payload)
        self._woken.set()

    def close(self) -> None:
        """Hear no more."""
        self._hints.unsubscribe(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Hints:
    """Sends and hears hints: one connection for each, made again whenever it is lost."""

    def __init__(self, db: Database, *, coalesce_s: float = 0.005, hears: bool = True) -> None:
        """`hears=False` only sends, and saves the connection that listens."""
        self._db, self._coalesce_s, self._hears = db, coalesce_s, hears
        self._pending: dict[str, None] = {}
        self._something = asyncio.Event()
        self._exact: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._beginnings: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._tasks: list[asyncio.Task[None]] = []
        self.listening = asyncio.Event()
        """Set while the listener connection stands."""

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep(self._db.connect, self._send), name="holdfast.hints.notifier")]
        if self._hears:
            hearing = self._keep(self._db.connect_listener, self._hear)
            self._tasks.append(asyncio.create_task(hearing, name="holdfast.hints.listener"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop sending and hearing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def notify(self, payload: str) -> None:
        """Hint, soon and at most once per few milliseconds. Call it after the commit. Never fails."""
        self._dispatch(payload)
        if len(self._pending) < _PENDING_MOST:
            self._pending[payload] = None
            self._something.set()

    def subscribe(self, *topics: str) -> Subscription:
        """Hear hints with exactly these payloads, or, where a topic ends in `*`, with this beginning."""
        subscription = Subscription(self, topics)
        for topic in topics:
            self._group(topic)[topic.removesuffix("*")].add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """As `Subscription.close`."""
        for topic in subscription.topics:
            group, key = self._group(topic), topic.removesuffix("*")
            group[key].discard(subscription)
            if not group[key]:
                del group[key]

    def _group(self, topic: str) -> defaultdict[str, set[Subscription]]:
        return self._beginnings if topic.endswith("*") else self._exact

    def _dispatch(self, payload: str) -> None:
        for subscription in self._exact.get(payload, ()):
            subscription.wake(payload)
        for beginning, subscriptions in self._beginnings.items():
            if payload.startswith(beginning):
                for subscription in subscriptions:
                    subscription.wake(payload)

    def _wake_all(self) -> None:
        for group in (*self._exact.values(), *self._beginnings.values()):
            for subscription in group:
                subscription.wake()

    async def _keep(
        self,
        connect: Callable[[], Awaitable[Connection]],
        use: Callable[[Connection], Awaitable[None]],
    ) -> None:
        pause_s = _BACKOFF_FIRST_S
        while True:
            with suppress(Exception):
                connection = await connect()
                pause_s = _BACKOFF_FIRST_S
                try:
                    await use(connection)
                finally:
                    await connection.close()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _BACKOFF_MOST_S)

    async def _send(self, connection: Connection) -> None:
        wire = Wire(connection, "notify", prepared=self._db.prepared)
        try:
            await self._send_by(wire, connection.silence_s)
        finally:
            wire.close()

    async def _send_by(self, wire: Wire, silence_s: float) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            payloads = list(self._pending)
            self._pending.clear()
            try:
                async with asyncio.timeout(silence_s):
                    await wire.execute([CHANNEL.encode(), arrays.text([payload.encode() for payload in payloads])])
            except BaseException:
                self._pending = dict.fromkeys(payloads) | self._pending
                self._something.set()
                raise
            await asyncio.sleep(self._coalesce_s)

    async def _hear(self, connection: Connection) -> None:
        await connection.execute(_LISTEN)
        self.listening.set()
        self._wake_all()
        try:
            while True:
                async for notification in connection.notifies(timeout=_CHECK_S):
                    self._dispatch(notification.payload)
                async with asyncio.timeout(_CHECK_S):
                    await connection.execute("select 1")
        finally:
            self.listening.clear()
