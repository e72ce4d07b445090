"""What this process does under one worker id: from its registration until the lease is lost or given back."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from holdfast.domain.errors import DatabaseUnavailable
from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent
from holdfast.store.claims import claim_runs, release_runs
from holdfast.store.hints import HALTS, QUEUED
from holdfast.worker.carried import Carried
from holdfast.worker.claiming import Claimer
from holdfast.worker.halting import HaltWatch
from holdfast.worker.lease import Lease
from holdfast.worker.patience import patiently
from holdfast.worker.stall import StallWatch
from holdfast.worker.ticker import tick_forever

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.app import App
    from holdfast.engine.gear import Gear
    from holdfast.settings import Settings
    from holdfast.store.claims import Claimed
    from holdfast.store.leases import Renewal
    from holdfast.task import Task
    from holdfast.worker.carried import Carrying
    from holdfast.worker.lease import Verbs

T = TypeVar("T")

SIGNAL = "s:"
"""Prefix of the hint that a run's inbox holds something new."""

_LISTEN_AGAIN_S = 60.0
_LEAVE_S = 1.0


class Tenure:
    """One worker id at work.

    Args:
        worker: the registered id.
        registered_at: what the lease's clock said before the registration was sent.
        execute: makes the execution of a claimed run.
    """

    def __init__(
        self,
        *,
        worker: UUID,
        registered_at: float,
        app: App,
        gear: Gear,
        settings: Settings,
        verbs: Verbs,
        execute: Callable[[Task, Claimed], Carrying],
    ) -> None:
        self.worker, self._gear, self._settings = worker, gear, settings
        self._log = logger("worker", worker=str(worker))
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._lost: str | None = None
        self._given_up = asyncio.Event()
        self.carried = Carried(app, slots=settings.slots, execute=execute, give_back=self._give_back, freed=self._freed)
        self._claimer = Claimer(app, self.carried, self._claim, poll_s=settings.poll_s)
        self._watch = StallWatch(
            thread=threading.get_ident(), warn_s=settings.blocked_warn_s, steps=lambda: self.carried.steps
        )
        self.lease = Lease(
            verbs=verbs,
            worker=worker,
            lease_s=settings.lease_s,
            registered_at=registered_at,
            watch=self._watch,
            holding=lambda: self.carried.holding,
            renewed=self._in_loop(self._attend),
            lost=self._in_loop(self._lose),
        )
        self._halting = HaltWatch(
            known=self.lease.halts,
            ask=lambda connection, acks: verbs.watch_halts(connection, worker, acks),
            traces=self.carried.traces,
            cancel=self.carried.halt,
            grace_s=settings.grace_s,
            heard=lambda: heard(None),
            soon=self.lease.look_at_halts,
        )
        heard: Callable[[None], None] = self._in_loop(lambda _: self._halting.apply())
        self.lease.watching = self._halting
        self._attending: set[asyncio.Task[None]] = set()

    @property
    def lost(self) -> bool:
        """Whether the lease is gone."""
        return self._lost is not None

    def stop(self) -> None:
        """Claim no more, start nothing more; `work` returns."""
        self._over.set()
        # At once: what claims or ticks takes a round trip to the database to end, in which runs would go on.
        self.carried.leave()

    async def work(self) -> None:
        """Claim, execute and tick until stopped or until the lease is lost.

        Raises:
            Exception: what ends a worker: a bug, or a database that refuses though it is there.
        """
        self.lease.start()
        beat = asyncio.create_task(self._beat(), name="holdfast.worker.beat")
        try:
            await self._until_over()
        except BaseException:
            beat.cancel()
            self._give_up("the worker failed")
            raise
        if self.lost:
            beat.cancel()
            self._give_up(self._lost or "")
        else:
            self._beating = beat

    async def drain(self, deadline: asyncio.Timeout) -> None:
        """Hand every run over, the rest when `deadline` passes, and leave."""
        self.carried.drain()
        with suppress(TimeoutError):
            async with deadline:
                await self._settled_or_lost()
        self._give_up("the worker ends")
        self._beating.cancel()

    def force(self) -> None:
        """Give everything back now, from any thread and though the loop be blocked. Up to a second."""
        self.lease.end(leave=True)
        self.lease.join(_LEAVE_S)

    async def left(self) -> None:
        """Wait, a second at most, until the database knows that this worker has left."""
        await asyncio.to_thread(self.lease.join, _LEAVE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self.carried.settled()

    def _give_up(self, why: str) -> None:
        # First lose, then leave: an execution that still ran would only find itself fenced.
        self.carried.lose(why)
        self.lease.end(leave=not self.lost)
        self._gear.hints.notify(QUEUED)

    async def _until_over(self) -> None:
        jobs: set[asyncio.Task[Any]] = {
            asyncio.create_task(self._over.wait(), name="holdfast.worker.over"),
            asyncio.create_task(self._claimer.run(), name="holdfast.worker.claim"),
            asyncio.create_task(
                tick_forever(self._gear.db, self._gear.hints, self._settings.tick_s),
                name="holdfast.worker.tick",
            ),
            asyncio.create_task(self._listen(QUEUED), name="holdfast.worker.queued"),
            asyncio.create_task(self._listen(f"{SIGNAL}*"), name="holdfast.worker.signals"),
            asyncio.create_task(self._listen(HALTS), name="holdfast.worker.halts"),
        }
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        for job in done:
            job.result()

    async def _settled_or_lost(self) -> None:
        settled = asyncio.create_task(self.carried.settled())
        lost = asyncio.create_task(self._given_up.wait())
        try:
            await asyncio.wait({settled, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()
            lost.cancel()

    async def _beat(self) -> None:
        while True:
            self._watch.beat()
            if self.lease.expired:
                # The thread would say so too, unless it hangs in a connection that does not answer.
                self._lose("no renewal was confirmed in time")
            await asyncio.sleep(self._watch.interval_s)

    async def _listen(self, topic: str) -> None:
        with self._gear.hints.subscribe(topic) as subscription:
            while True:
                for payload in await subscription.wait(_LISTEN_AGAIN_S) or {QUEUED}:
                    self._hear(payload)

    def _hear(self, payload: str) -> None:
        if payload == QUEUED:
            self._claimer.hint()
        elif payload == HALTS:
            self.lease.look_at_halts()
        else:
            with suppress(ValueError):
                self.carried.notice(UUID(payload.removeprefix(SIGNAL)))

    def _freed(self) -> None:
        self._claimer.slot_freed()

    async def _claim(
        self, want: int, tasks: Sequence[str], versions: Sequence[str], free: Sequence[int]
    ) -> Sequence[Claimed]:
        return await patiently("claim", lambda: claim_runs(self._gear.db, self.worker, want, tasks, versions, free))

    async def _give_back(self, runs: Sequence[UUID], failed: bool) -> None:
        try:
            await release_runs(self._gear.db, self.worker, runs, failed=failed)
        except DatabaseUnavailable as error:
            # They are named by no renewal from now on, and released as strays.
            self._log.warning(LogEvent.DATABASE_UNAVAILABLE, what="release", cause=str(error))
        else:
            self._log.info(LogEvent.RUNS_RELEASED, runs=len(runs), failed=failed)
            self._gear.hints.notify(QUEUED)

    def _attend(self, renewal: Renewal) -> None:
        for run in renewal.attention:
            self.carried.notice(run.run)
        if renewal.stray:
            task = asyncio.create_task(self._release_strays(renewal.stray))
            self._attending.add(task)
            task.add_done_callback(self._attending.discard)

    async def _release_strays(self, stray: Sequence[UUID]) -> None:
        async with self._claimer.between_claims:
            runs = [run for run in stray if run not in self.carried.holding]
            if runs and not self.lost:
                self._log.warning(LogEvent.RUN_STRAY, runs=[str(run) for run in runs])
                await self._give_back(runs, failed=False)

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
            # Now, not when the jobs beside it have ended, nor after a line is written to a log that may be slow or
            # broken: until then an execution would go on dispatching.
            self.carried.lose(why)
            self._given_up.set()
            self._over.set()
            self._log.error(LogEvent.LEASE_LOST, cause=why, runs=len(self.carried.holding))

    def _in_loop(self, act: Callable[[T], None]) -> Callable[[T], None]:
        def call(value: T) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it all that could be told
                self._loop.call_soon_threadsafe(act, value)

        return call
