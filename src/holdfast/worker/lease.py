"""The worker's lease, renewed by a thread with a connection of its own, which user code cannot block.

Lost means: the database said so, or no renewal was confirmed for as long as the lease lasts, counted on this
machine from when the last confirmed one was *sent*. The database counts from when it arrived, so this side
gives up first.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from time import clock_gettime
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from holdfast.engine.halts import Halts
from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from holdfast.domain.halts import Halt
    from holdfast.store.halts import Ack
    from holdfast.store.leases import Renewal
    from holdfast.worker.halting import HaltWatch
    from holdfast.worker.stall import StallWatch

_RENEWALS_PER_LEASE = 3
_RETRY_S = 0.25
# It goes on while the machine sleeps, as the database's clock does. Where there is none such, the monotonic one.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds of the clock that leases are measured with on this side."""
    return clock_gettime(_CLOCK)


class Verbs(Protocol):
    """The store's verbs on a lease, on a synchronous connection."""

    def connect(self) -> psycopg.Connection[Any]:
        """A connection for this thread alone."""
        ...

    def renew(self, connection: psycopg.Connection[Any], worker: UUID, holding: Sequence[UUID]) -> Renewal:
        """`renew_lease`."""
        ...

    def watch_halts(self, connection: psycopg.Connection[Any], worker: UUID, acks: Sequence[Ack]) -> Sequence[Halt]:
        """`watch_halts`."""
        ...

    def leave(self, connection: psycopg.Connection[Any], worker: UUID) -> None:
        """`leave`."""
        ...


class Lease:
    """One worker id's lease.

    Args:
        verbs: how the database is spoken to.
        worker: the id that was registered.
        lease_s: what it was registered with.
        registered_at: what `now` said *before* the registration was sent.
        watch: says whether the event loop's state allows a renewal.
        holding: the runs this process carries; called from the thread.
        renewed: told of each renewal, in the thread.
        lost: told once that the lease is gone and why, in the thread.
    """

    def __init__(
        self,
        *,
        verbs: Verbs,
        worker: UUID,
        lease_s: float,
        registered_at: float,
        watch: StallWatch,
        holding: Callable[[], Sequence[UUID]],
        renewed: Callable[[Renewal], None],
        lost: Callable[[str], None],
    ) -> None:
        self._verbs, self._worker, self._lease_s, self._watch = verbs, worker, lease_s, watch
        self._holding, self._renewed, self._lost = holding, renewed, lost
        self._until = registered_at + lease_s
        self._due = registered_at + lease_s / _RENEWALS_PER_LEASE
        self._connection: psycopg.Connection[Any] | None = None
        self.halts = Halts()
        """What is known of halts, for whoever is about to begin something."""
        self.watching: HaltWatch | None = None
        """Asks for halts, in this thread; set before it starts."""
        self._failing = False
        # Its put() may be called from a signal handler, where no lock is safe to wait for.
        self._commands: SimpleQueue[bool | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="holdfast-lease", daemon=True)
        self._log = logger("worker", worker=str(worker))

    def start(self) -> None:
        """Begin renewing."""
        self._thread.start()

    @property
    def expired(self) -> bool:
        """Whether no renewal was confirmed within the lease. Safe from any thread."""
        return clock_gettime(_CLOCK) >= self._until

    def end(self, *, leave: bool) -> None:
        """Stop renewing; with `leave`, give all runs back and forget the worker. Returns at once."""
        self._commands.put(leave)

    def look_at_halts(self) -> None:
        """Ask for halts now. Returns at once."""
        self._commands.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._ask_for_halts()
            while not self._step():
                pass
        finally:
            self._disconnect()

    def _step(self) -> bool:
        """One turn; whether it was the last."""
        looks = False
        try:
            leave = self._commands.get(timeout=min(self._watch.interval_s, self._lease_s / 10))
        except Empty:
            pass
        else:
            if leave is not None:
                if leave:
                    self._leave()
                return True
            looks = True
        if looks or (self.watching is not None and self.watching.due <= self.halts.clock()):
            self._ask_for_halts()
        allowed = self._watch.look()
        if self.expired:
            self._lost(f"no renewal was confirmed for {self._lease_s:g} s")
            return True
        return allowed and now() >= self._due and self._renew()

    def _renew(self) -> bool:
        """Renew once; whether the lease is gone."""
        sent = now()
        self._due = sent + _RETRY_S
        try:
            renewal = self._verbs.renew(self._connected(), self._worker, self._holding())
        except psycopg.Error as error:
            self._disconnect()
            if not self._failing:
                self._log.warning(LogEvent.LEASE_RENEWAL_FAILED, cause=str(error).strip())
            self._failing = True
            return False
        self._failing = False
        if not renewal.ok:
            self._lost("the database says that it has expired")
            return True
        self._until, self._due = sent + self._lease_s, sent + self._lease_s / _RENEWALS_PER_LEASE
        self._renewed(renewal)
        return False

    def _ask_for_halts(self) -> None:
        if self.watching is None:
            return
        try:
            self.watching.look(self._connected())
        except psycopg.Error as error:
            # Nothing is begun until it is known again; the renewal will say so in the log if this goes on.
            self._disconnect()
            self._log.debug(LogEvent.HALTS_UNKNOWN, cause=str(error).strip())

    def _leave(self) -> None:
        try:
            self._verbs.leave(self._connected(), self._worker)
        except psycopg.Error as error:
            self._log.warning(LogEvent.LEASE_RENEWAL_FAILED, cause=str(error).strip(), leaving=True)

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = self._verbs.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
