"""Group commit across runs: one statement carries what many runs append.

Runs with something due stand in one queue. A few lanes, each a connection of its own, take from it whatever
is there when they come free: alone a run commits at once, under load batches form by themselves. Where many
runs are carried, a lane first lets the event loop go round for as long as each round brings company: a loop with
nothing else to do goes round in microseconds, a busy one has other runs to carry meanwhile, and each statement
spared is CPU for them. No lane takes more than its share of very many: the database works on one lane's batch while
this process makes the next. The queue is bounded in bytes, and `append` waits for room: that is the back-pressure.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from holdfast.domain.errors import DatabaseUnavailable, RunLost
from holdfast.store.errors import unavailable
from holdfast.store.journal.asked import Asked
from holdfast.store.journal.lane import Lane
from holdfast.store.journal.line import Line
from holdfast.store.journal.run import RunJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from holdfast.domain.ids import Ref
    from holdfast.store.claims import Claimed
    from holdfast.store.journal.member import Member
    from holdfast.store.pool import Database
    from holdfast.store.vault import SubjectKey

_FEW_RUNS = 4
"""With no more than these open, nobody waits for company."""
_EMPTY_ROUNDS = 3
"""So many rounds of the loop without company say that it is not busy, or with something else."""
_REST_FIRST_S, _REST_MOST_S = 0.001, 0.05
"""How long a line rests whose rows others had locked."""
_WORTH_A_BATCH = 24
"""So many members go together, though another lane could take some: below it, starting a statement costs more than
working side by side spares."""


def _now_us() -> int:
    return time.time_ns() // 1000


class JournalWriter:
    """Appends to the journals of all runs that this process holds. One event loop, one writer.

    `max_batch` members and about `max_bytes` make a batch; `queue_bytes` may wait in all; `hold_s` is how long held
    facts wait for their run's next append, longer while the loop is busy; `linger_s` how long a batch then waits for
    company at most; `deadline_s` is how long an unreachable database is waited for. `clock` gives microseconds since
    the Unix epoch. `probe` is told the crash points `append.before_send` and `append.after_commit`.
    """

    def __init__(
        self,
        db: Database,
        *,
        connections: int = 2,
        max_batch: int = 128,
        max_bytes: int = 1 << 20,
        queue_bytes: int = 64 << 20,
        hold_s: float = 0.005,
        linger_s: float = 0.02,
        deadline_s: float = 30.0,
        clock: Callable[[], int] = _now_us,
        rng: Callable[[], float] = random.random,
        probe: Callable[[str], None] | None = None,
    ) -> None:
        self.clock, self.random, self.probe = clock, rng, probe
        self.hold_s, self.deadline_s = hold_s, deadline_s
        self.down_since: float | None = None
        """When the database went away, by the loop's clock. Shared by the lanes: callers wait once."""
        self._max_batch, self._max_bytes, self._queue_bytes = max_batch, max_bytes, queue_bytes
        self._linger_s = linger_s
        self._queued_bytes = 0
        self._journals: set[RunJournal] = set()
        self._busy_journals = 0
        self._ready: deque[RunJournal | Line] = deque()
        self._lines: dict[UUID, Line] = {}
        self._is_waiting = False
        self._sleeping: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._held: dict[RunJournal, float] = {}
        """Runs that hold facts back, and since when: the oldest first. One timer serves them all."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._room: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._drained: asyncio.Future[None] | None = None
        self._closed = False
        self.naming, self.bounding = Asked(), Asked()
        """Tenants some of whose tools or models are halted; tenants that have budgets."""
        self._lanes = [Lane(self, db) for _ in range(connections)]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Self:
        """Connect the lanes.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        for lane in self._lanes:
            try:
                await lane.connect()
            except Exception as error:
                raise unavailable(error) from error
        self._tasks = [asyncio.create_task(lane.run(), name="holdfast.journal.lane") for lane in self._lanes]
        for task in self._tasks:
            task.add_done_callback(self._lane_ended)
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Commit what is queued and held, then disconnect. What cannot be committed in time fails."""
        self._closed = True
        for journal in list(self._journals):
            journal.make_due()
        if self._busy_journals and self._tasks:
            self._drained = asyncio.get_running_loop().create_future()
            waited_for = [self._drained, *self._tasks]
            await asyncio.wait(waited_for, timeout=self.deadline_s, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for journal in list(self._journals):
            journal.lose(RunLost(journal.run, f"The journal writer was closed: run {journal.run} is let go."))
        if self._sweeping is not None:
            self._sweeping.cancel()
        for lane in self._lanes:
            await lane.disconnect()

    def open(self, claim: Claimed, key: SubjectKey, *, known: Iterable[Ref] = (), feature: str = "") -> RunJournal:
        """The journal of a run just claimed.

        `key` seals its content; `known` is what it already stored; `feature` is what the ledger has it under.
        """
        journal = RunJournal(self, claim, key, known, feature)
        self._journals.add(journal)
        return journal

    def forget(self, journal: RunJournal) -> None:
        """Let go of a run's journal. What it still had queued is committed nonetheless."""
        journal.make_due()
        self._journals.discard(journal)

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        # Lanes run until they are cancelled. One that ends by itself is a fault in this module: nobody may hang.
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._closed = True
            for journal in list(self._journals):
                journal.lose(
                    RunLost(journal.run, f"The journal writer failed: {fault!r}. Run {journal.run} is let go.")
                )

    # What journals call.

    def refuse_if_closed(self, run: UUID) -> None:
        """Raise RunLost once the writer was closed."""
        if self._closed:
            raise RunLost(run, f"The journal writer was closed: run {run} is let go.")

    def ready(self, journal: RunJournal) -> None:
        """This run has something due and nothing flying."""
        if self.bounding.is_so(journal.tenant):
            line = self._lines.get(journal.tenant)
            if line is None:
                line = self._lines[journal.tenant] = Line()
            line.waiting.append(journal)
            self._call(line)
            return
        self._ready.append(journal)
        self._wake()

    def _call(self, line: Line) -> None:
        if line.waiting and not line.is_called and not line.rests:
            line.is_called = True
            self._ready.append(line)
            self._wake()

    def line_of(self, batch: list[Member]) -> Line | None:
        """The line that a batch is of, where its tenant's runs go in turn."""
        return self._lines[batch[0].journal.tenant] if batch[0].in_line else None

    def begin_waiting(self, batch: list[Member]) -> bool:
        """Whether a batch may wait for other processes at rows: of one line, now and then, one at a time."""
        line = self.line_of(batch)
        if line is None or self._is_waiting or not line.is_patient:
            return False
        self._is_waiting = True
        return True

    def end_waiting(self) -> None:
        """It has waited."""
        self._is_waiting = False

    def delivered(self, batch: list[Member]) -> None:
        """A batch has been answered: of a tenant whose runs go in turn, the next may go."""
        line = self.line_of(batch)
        if line is not None:
            line.is_called = False
            self._call(line)

    def all_busy(self, line: Line, batch: list[Member]) -> None:
        """All of a line's batch found rows locked. It stays together: one by one they would lock each other out."""
        line.waiting.extendleft(member.journal for member in reversed(batch))
        line.rests = True
        wait_s = min(_REST_FIRST_S * 2 ** min(line.tries, 10), _REST_MOST_S) * (0.5 + self.random())
        asyncio.get_running_loop().call_later(wait_s, self._rested, line)

    def _rested(self, line: Line) -> None:
        line.rests = False
        self._call(line)

    def holds(self, journal: RunJournal) -> None:
        """This run holds facts that are to be committed with its next append, or soon."""
        if journal not in self._held:
            loop = asyncio.get_running_loop()
            self._held[journal] = loop.time()
            if self._sweeping is None:
                self._sweeping = loop.call_later(self.hold_s, self._sweep)

    def holds_no_more(self, journal: RunJournal) -> None:
        """What it held is due, or gone."""
        if self._held.pop(journal, None) is not None and not self._held and self._sweeping is not None:
            # Of a run alone it would ring while the commit is waited for: a process woken for nothing, each step.
            self._sweeping.cancel()
            self._sweeping = None

    def _sweep(self) -> None:
        """Commit what was held long enough."""
        self._sweeping = None
        loop = asyncio.get_running_loop()
        over = loop.time() - self.hold_s
        for journal in [journal for journal, since in self._held.items() if since <= over]:
            journal.make_due()
        if self._held:
            left_s = next(iter(self._held.values())) - over
            self._sweeping = loop.call_later(max(left_s, 0.001), self._sweep)

    def rested(self) -> None:
        """A run went from having something due to idle."""
        self._busy_journals -= 1
        if self._busy_journals == 0 and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def stirred(self) -> None:
        """A run went from idle to having something due."""
        self._busy_journals += 1

    def bill(self, size: int) -> None:
        """These bytes are queued."""
        self._queued_bytes += size

    def release(self, size: int) -> None:
        """These bytes are no longer queued: whoever waits for room gets it, in turn."""
        self._queued_bytes -= size
        while self._room and not self._is_over(self._room[0][0]):
            wanted, waiter = self._room.popleft()
            if not waiter.done():
                self._queued_bytes += wanted
                waiter.set_result(None)

    def is_full(self, size: int) -> bool:
        """Whether an append of this size has to wait, for room or for those who wait already."""
        return bool(self._room) or self._is_over(size)

    async def room(self, size: int) -> None:
        """Wait until this much fits in. Returns with it billed."""
        waiter = asyncio.get_running_loop().create_future()
        self._room.append((size, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(size)
            raise

    def _is_over(self, size: int) -> bool:
        return self._queued_bytes > 0 and self._queued_bytes + size > self._queue_bytes

    # What lanes call.

    async def next_batch(self) -> list[Member]:
        """Wait for something due and take as much of it as one statement carries."""
        while True:
            while not self._ready:
                self._waking = False
                waiter = asyncio.get_running_loop().create_future()
                self._sleeping.append(waiter)
                await waiter
            if len(self._journals) > _FEW_RUNS:
                self._waking = True
                await self._company()
            batch = self._gather()
            self._waking = False
            if self._ready:
                self._wake()
            if batch:
                return batch

    async def _company(self) -> None:
        """Let the loop go round while that brings more that is due: until half of the runs wait, or time is up."""
        clock = asyncio.get_running_loop().time
        until, empty = clock() + self._linger_s, 0
        while empty < _EMPTY_ROUNDS and clock() < until:
            due = self._due()
            if due >= self._max_batch or 2 * due >= len(self._journals):
                return
            await asyncio.sleep(0)
            empty = empty + 1 if self._due() == due else 0

    def _due(self) -> int:
        waiting = sum(len(line.waiting) for line in self._lines.values()) if self._lines else 0
        return len(self._ready) + waiting

    def _gather(self) -> list[Member]:
        batch: list[Member] = []
        size = 0
        share = -(-len(self._journals) // len(self._lanes))
        most = min(self._max_batch, max(share, _WORTH_A_BATCH))
        while self._ready and len(batch) < most and size < self._max_bytes:
            first = self._ready[0]
            if isinstance(first, Line):
                return batch or self._from_line(first)
            self._ready.popleft()
            member = first.take(self._max_bytes - size)
            if member is not None:
                member.in_line = False
                batch.append(member)
                size += member.size
        return batch

    def _from_line(self, line: Line) -> list[Member]:
        self._ready.popleft()
        batch = line.gather(self._max_batch, self._max_bytes)
        for member in batch:
            member.in_line = True
        if not batch:
            line.is_called = False
        return batch

    def _wake(self) -> None:
        # One lane at a time. It starts in the loop's next turn, so siblings that finish in this turn join it.
        if not self._waking and self._sleeping:
            self._waking = True
            self._sleeping.popleft().set_result(None)

    def outage_s(self) -> float:
        """How long the database has been away, counted from now if this is the first sign."""
        now = asyncio.get_running_loop().time()
        if self.down_since is None:
            self.down_since = now
        return now - self.down_since

    def unavailable(self, cause: Exception) -> DatabaseUnavailable:
        """The error for those who waited as long as the deadline allows."""
        error = DatabaseUnavailable(
            f"The database did not answer for {self.deadline_s:g} s ({cause}). What was being appended may have "
            "been committed or not. Check that PostgreSQL runs and that HOLDFAST_DATABASE_URL points to it."
        )
        error.__cause__ = cause
        return error
