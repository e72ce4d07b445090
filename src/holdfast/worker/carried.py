"""The runs this process carries now: its slots, and one asyncio task for each execution."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Protocol

from holdfast.domain.errors import DatabaseUnavailable, KeyUnavailable
from holdfast.domain.halts import Covered
from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent
from holdfast.worker.halting import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
    from uuid import UUID

    from holdfast.app import App
    from holdfast.engine.execution import Ended
    from holdfast.engine.flight import StepInFlight, Times
    from holdfast.store.claims import Claimed
    from holdfast.task import Task


_WRONG_KEY_PAUSE_S = 5.0
_PAST = 1000
"""So many executions that have ended are remembered, for halts that come to be known just then."""


class Carrying(Protocol):
    """What the worker needs of `engine.execution.Execution`."""

    async def run(self) -> Ended:
        """Carry the run forward until it ends, parks, is lost or is handed over."""
        ...

    def notice(self) -> None:
        """The inbox holds something new."""
        ...

    def lose(self, why: str) -> None:
        """The lease is gone: append nothing more."""
        ...

    def leave(self) -> None:
        """Start no further step; `drain` follows."""
        ...

    def drain(self) -> None:
        """Hand over at the next safe point."""
        ...

    def halt(self, out_of_grace: Container[UUID]) -> None:
        """Halts are in force: cancel what they cover, and of those whose grace is over whatever can be."""
        ...

    @property
    def steps(self) -> list[StepInFlight]:
        """What is being done now."""
        ...

    @property
    def times(self) -> Mapping[tuple[str, str], Times]:
        """When its tools and models were last called."""
        ...


class Carried:
    """Slots and what fills them. Everything but `holding`, `steps` and `traces` belongs to the event loop's thread.

    Args:
        app: whose tasks are carried.
        slots: the most runs at once; a task's own `slots` bounds it further.
        execute: makes the execution of a claimed run.
        give_back: releases runs; told whether the attempt counts as failed.
        freed: called whenever a slot becomes free.
    """

    def __init__(
        self,
        app: App,
        *,
        slots: int,
        execute: Callable[[Task, Claimed], Carrying],
        give_back: Callable[[Sequence[UUID], bool], Awaitable[None]],
        freed: Callable[[], None],
    ) -> None:
        self._app, self._slots = app, slots
        self._execute, self._give_back, self._freed = execute, give_back, freed
        # Numbered: a run given up here may be claimed again before its old execution has ended, and, where a crash of
        # the server took back the claim, at the same epoch.
        self._numbers = count(1)
        self._executions: dict[tuple[UUID, int], Carrying] = {}
        self._covered: dict[tuple[UUID, int], Covered] = {}
        self._past: deque[Trace] = deque(maxlen=_PAST)
        self._jobs: dict[tuple[UUID, int], asyncio.Task[None]] = {}
        self._of_task: Counter[str] = Counter()
        self._log = logger("worker")
        self.holding: tuple[UUID, ...] = ()
        """The runs carried, replaced as a whole: another thread reads it."""

    @property
    def free(self) -> int:
        """How many more runs may be claimed."""
        return self._slots - len(self._jobs)

    def free_of(self, task: str) -> int:
        """How many more runs of one task may be claimed."""
        most = self._app[task].slots
        return self.free if most is None else min(self.free, most - self._of_task[task])

    @property
    def steps(self) -> list[StepInFlight]:
        """What all executions are doing now."""
        return [step for execution in list(self._executions.values()) for step in execution.steps]

    def traces(self) -> list[Trace]:
        """What each execution does, and what those did that have ended. From any thread."""
        carried = list(self._executions.items())
        now = [Trace(self._covered[key], execution.steps, execution.times) for key, execution in carried]
        return [*now, *list(self._past)]

    def halt(self, out_of_grace: Container[UUID]) -> None:
        """Cancel, in every execution, what halts cover."""
        for execution in list(self._executions.values()):
            execution.halt(out_of_grace)

    def start(self, claimed: Claimed) -> None:
        """Carry a run that was just claimed."""
        self._of_task[claimed.task] += 1
        key = claimed.run, next(self._numbers)
        self._jobs[key] = asyncio.create_task(self._carry(claimed, key), name=f"run {claimed.run}")
        self._hold()

    def notice(self, run: UUID) -> bool:
        """Tell a run's execution that its inbox holds something; whether it is carried here."""
        found = [execution for (carried, _), execution in self._executions.items() if carried == run]
        for execution in found:
            execution.notice()
        return bool(found)

    def lose(self, why: str) -> None:
        """Stop every execution at once; none appends any more."""
        lost = list(self._executions.items())
        for _, execution in lost:
            execution.lose(why)
        for (run, _), _ in lost:
            self._log.warning(LogEvent.RUN_LOST, run=str(run), cause=why)

    def leave(self) -> None:
        """Ask every execution to start no further step."""
        for execution in list(self._executions.values()):
            execution.leave()

    def drain(self) -> None:
        """Ask every execution to hand over at its next safe point."""
        for execution in list(self._executions.values()):
            execution.drain()

    async def settled(self) -> None:
        """Wait until nothing is carried."""
        while self._jobs:
            await asyncio.wait(self._jobs.values())

    async def _carry(self, claimed: Claimed, key: tuple[UUID, int]) -> None:
        try:
            await self._execution(claimed, key)
        finally:
            if (execution := self._executions.pop(key, None)) is not None and execution.times:
                self._past.append(Trace(self._covered[key], (), execution.times))
            self._covered.pop(key, None)
            del self._jobs[key]
            self._of_task[claimed.task] -= 1
            self._hold()
            self._freed()

    def _hold(self) -> None:
        self.holding = tuple({run for run, _ in self._jobs})

    async def _execution(self, claimed: Claimed, key: tuple[UUID, int]) -> None:
        fields = {"run": str(claimed.run), "task": claimed.task, "epoch": claimed.epoch}
        self._log.debug(LogEvent.RUN_CLAIMED, **fields, claims=claimed.claims)
        began = time.monotonic()
        try:
            execution = self._execute(self._app[claimed.task], claimed)
            self._covered[key] = Covered(claimed.tenant, claimed.run, claimed.task, claimed.session, claimed.principal)
            self._executions[key] = execution
            ended = await execution.run()
        except KeyUnavailable as error:
            # This process has the wrong wrapping key, another may have the right one. Holding the slot for a
            # while keeps the run from going round in circles.
            self._log.error(LogEvent.RUN_BROKE, **fields, cause=str(error))
            await asyncio.sleep(_WRONG_KEY_PAUSE_S)
            await self._give_back([claimed.run], False)
            return
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            self._log.exception(LogEvent.RUN_BROKE, **fields)
            # A bug of ours: the attempt counts, so that the run ends in quarantine and not in a loop.
            await self._give_back([claimed.run], not isinstance(error, DatabaseUnavailable))
            return
        took_s = round(time.monotonic() - began, 3)
        self._log.info(LogEvent.RUN_ENDED, **fields, how=str(ended), took_s=took_s)
        if ended == "handed_over":
            await self._give_back([claimed.run], False)
