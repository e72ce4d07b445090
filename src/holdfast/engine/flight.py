"""What a run is doing right now, its time limits, and the barrier at which parallel calls wait for each other.

The framework cancels the siblings of a tool call that raises. A call that suspends or fails therefore waits here
until every sibling that has started is settled, so that no effect is cut off half-way for want of patience.

One timer serves all limits of a run. It rings at the earliest deadline that was there when it was set: steps end
long before theirs, and to set a timer for each of them costs more than to look once in a while.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.domain.recovery import Recovery
from holdfast.engine.interrupt import Halted

if TYPE_CHECKING:
    from holdfast.engine.call import Attempt

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class StepInFlight:
    """One model request or tool call under way. Times are seconds of the monotonic clock."""

    what: str
    """`model` or `tool`."""
    name: str
    recovery: Recovery
    group: tuple[str, int]
    """Scope and step: calls of one response are siblings."""
    deadline: float
    inner: str = ""
    """What the scopes of runs inside this call begin with."""
    started: float = field(default_factory=time.monotonic)
    settled: bool = False
    limited: asyncio.Task[Any] | None = None
    """The task to be cancelled at the deadline, while there is one."""
    expired: bool = False
    attempt: Attempt | None = None
    """Of a tool: the entering of its body."""
    stopped: Halted | None = None
    """The halt for which it was cancelled."""
    accompanied: bool = False
    """Of a call: whether another was under way meanwhile that it was not inside of. Runs beside may share counters."""

    @property
    def cut(self) -> bool:
        """Whether its task was cancelled from here."""
        return self.expired or self.stopped is not None

    @property
    def in_thread(self) -> bool:
        """Whether it is a plain function in a thread, which nothing can stop."""
        return self.attempt is not None and self.attempt.in_thread

    @property
    def began(self) -> float:
        """When what lies outside was entered; 0: it was not yet."""
        return self.started if self.attempt is None else self.attempt.entered

    @property
    def cancellable(self) -> bool:
        """Whether it may be cancelled at any time: it is asked, or done, again."""
        return self.what == "model" or (self.recovery.reruns and not self.in_thread)

    @property
    def latency_ms(self) -> int:
        """How long it has been under way."""
        return round(1000 * (time.monotonic() - self.started))


@dataclass(slots=True)
class Times:
    """When calls of one tool or model last began and ended, in seconds of the monotonic clock; 0: never."""

    began: float = 0.0
    cancellable_ended: float = 0.0
    effect_ended: float = 0.0


class Flight:
    """All that one run has under way."""

    def __init__(self) -> None:
        self.times: dict[tuple[str, str], Times] = {}
        """By what it is and its name: what a halt is told of calls that have ended."""
        self._steps: list[StepInFlight] = []
        self._arrivals: Counter[tuple[str, int]] = Counter()
        self._waiters: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    @property
    def steps(self) -> list[StepInFlight]:
        """What is under way, oldest first."""
        return list(self._steps)

    def arrive(self, group: tuple[str, int]) -> None:
        """A call of this response begins, be it performed or replayed."""
        self._arrivals[group] += 1

    def arrivals(self, group: tuple[str, int]) -> int:
        """How many calls of this response have begun."""
        return self._arrivals[group]

    def siblings(self, step: StepInFlight) -> bool:
        """Whether another call of the same response, of a run beside its own, or inside of it is still under way."""
        if len(self._steps) == 1 and self._steps[0] is step:
            return False
        beside = family(step.group[0])
        return any(
            other is not step
            and not other.settled
            and (other.group == step.group or _within(other, beside) or _within(other, step.inner))
            for other in self._steps
        )

    @property
    def uninterruptible(self) -> bool:
        """Whether an effect is under way that would be in doubt if it were cut off."""
        return any(step.what == "tool" and not step.settled and not step.recovery.reruns for step in self._steps)

    def begin(self, step: StepInFlight) -> None:
        """`step` is under way from now on, until `end`."""
        if step.what == "tool":
            for other in self._steps:
                if other.what == "tool" and not other.settled and not _is_inside(step, other):
                    other.accompanied = step.accompanied = True
        self._steps.append(step)

    def end(self, step: StepInFlight) -> None:
        """`step` is no longer under way."""
        self._note(step)
        self._steps.remove(step)
        self._settle(step)

    @contextmanager
    def carrying(self, step: StepInFlight) -> Generator[None]:
        """`step` is under way while the block runs."""
        self.begin(step)
        try:
            yield
        finally:
            self.end(step)

    async def in_time(self, step: StepInFlight, work: Awaitable[T]) -> T:
        """What comes of `work`, which is cancelled at the step's deadline.

        Raises:
            TimeoutError: it was; `step.expired` tells it from a timeout of the work's own.
        """
        self.limit(step)
        cancelling = step.limited.cancelling() if step.limited is not None else 0
        try:
            return await work
        except asyncio.CancelledError:
            if self.free(step) > cancelling or not step.cut:
                raise
            raise (step.stopped or TimeoutError()) from None
        except Exception as error:
            # It was told to stop: what it made of that is not how the call ended.
            if step.stopped is not None:
                raise step.stopped from error
            raise
        finally:
            self.free(step)

    def limit(self, step: StepInFlight) -> None:
        """Cancel this task at the step's deadline, unless `free` comes first."""
        step.limited = asyncio.current_task()
        if self._timer is None or step.deadline < self._rings_at:
            self._set_timer(step.deadline)

    def free(self, step: StepInFlight) -> int:
        """Lift the limit; answer how many other requests there are to cancel the task."""
        task, step.limited = step.limited, None
        if task is None:
            return 0
        return task.uncancel() if step.cut else task.cancelling()

    def halt(self, why: Callable[[StepInFlight], Halted | None]) -> None:
        """Cancel each step for which there is a reason, and stop it with that."""
        for step in self.steps:
            if step.limited is not None and not step.cut and (halted := why(step)) is not None:
                step.stopped = halted
                step.limited.cancel()

    async def wait_for_siblings(self, step: StepInFlight) -> None:
        """Count `step` as settled, and wait until every sibling is."""
        self._settle(step)
        while self.siblings(step):
            await self._change()

    async def wait_for_group(self, group: tuple[str, int]) -> None:
        """Wait until no call of this response is under way."""
        while any(step.group == group and not step.settled for step in self._steps):
            await self._change()

    async def wait_for_family(self, scope: str) -> None:
        """Wait until no call of the inner runs beside that of `scope` is under way."""
        beside = family(scope)
        while any(not other.settled and _within(other, beside) for other in self._steps):
            await self._change()

    def close(self) -> None:
        """Nothing is under way any more, nor will be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _note(self, step: StepInFlight) -> None:
        if not (began := step.began):
            return
        times = self.times.get((step.what, step.name))
        if times is None:
            times = self.times[step.what, step.name] = Times()
        times.began = began
        if step.cancellable:
            times.cancellable_ended = time.monotonic()
        else:
            times.effect_ended = time.monotonic()

    def _settle(self, step: StepInFlight) -> None:
        step.settled = True
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _set_timer(self, rings_at: float) -> None:
        self.close()
        self._rings_at = rings_at
        # In a context of its own: a timer that was cancelled may keep its context for minutes.
        self._timer = asyncio.get_running_loop().call_later(
            max(0.0, rings_at - time.monotonic()), self._ring, context=Context()
        )

    def _ring(self) -> None:
        self._timer = None
        now = time.monotonic()
        limited = [step for step in self._steps if step.limited is not None and not step.cut]
        for step in limited:
            if step.deadline <= now and step.limited is not None:
                step.expired = True
                step.limited.cancel()
        if left := [step.deadline for step in limited if not step.expired]:
            self._set_timer(min(left))


def family(scope: str) -> str:
    """What the scopes of all runs inside the same outer call begin with; empty for the run itself."""
    return scope[: scope.rfind(">") + 1]


def _is_inside(step: StepInFlight, call: StepInFlight) -> bool:
    return bool(call.inner) and step.group[0].startswith(call.inner)


def _within(step: StepInFlight, scopes: str) -> bool:
    return bool(scopes) and step.what == "tool" and step.group[0].startswith(scopes)
