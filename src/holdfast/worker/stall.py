"""Noticing that user code blocks the event loop, and saying which tool it is.

The loop beats; the lease thread looks. While the loop is blocked the worker still renews its lease, since the
work goes on, but only until the deadline of the step that blocks: a wedged worker must lose its runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent
from holdfast.worker.place import place_in, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

UNKNOWN_STALL_S = 60.0
"""How long a stall may last that belongs to no step: user code in a dependency factory or a hook."""


class Step(Protocol):
    """What is read of `engine.flight.StepInFlight`."""

    @property
    def what(self) -> str:
        """`model` or `tool`."""
        ...

    @property
    def name(self) -> str:
        """Of the tool or model."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds of the monotonic clock."""
        ...


@dataclass(frozen=True, slots=True)
class Stall:
    """The loop is blocked: since when, by what, and until when that is put up with. Monotonic seconds."""

    since: float
    suspects: tuple[str, ...]
    deadline: float


class StallWatch:
    """Beaten by the event loop, looked at by another thread.

    Args:
        thread: identifier of the loop's thread.
        warn_s: how long the loop may be silent without a warning.
        steps: what is in flight in this process; called only while the loop is blocked.
    """

    def __init__(
        self,
        *,
        thread: int,
        warn_s: float,
        steps: Callable[[], Sequence[Step]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._thread, self._warn_s, self._steps, self._clock = thread, warn_s, steps, clock
        self._log = logger("worker")
        self._beat = self._looked = clock()
        self._stall: Stall | None = None
        self._gave_up = False

    @property
    def interval_s(self) -> float:
        """How often to beat and to look."""
        return min(self._warn_s / 4, 0.25)

    def beat(self) -> None:
        """The loop is alive."""
        self._beat = self._clock()

    def look(self) -> bool:
        """Whether the lease may be renewed: the loop is alive, or blocked by a step within its deadline."""
        now = self._clock()
        overslept = now - self._looked > self._warn_s
        self._looked = now
        if overslept:
            # The whole process was stopped, the loop no more than this thread: it gets the time to beat.
            self._beat = max(self._beat, now - self._warn_s / 2)
        if now - self._beat <= self._warn_s:
            self._end_stall()
            return True
        return self._allowed(self._stall or self._begin_stall(now), now)

    def _begin_stall(self, now: float) -> Stall:
        frames = stack_of(self._thread)
        suspects = suspected(self._steps(), frames)
        self._stall = Stall(
            self._beat,
            tuple(dict.fromkeys(step.name for step in suspects)),
            max((step.deadline for step in suspects), default=self._beat + UNKNOWN_STALL_S),
        )
        self._log.warning(
            LogEvent.LOOP_BLOCKED,
            **_who(self._stall),
            stuck_in=place_in(frames),
            blocked_s=round(now - self._beat, 2),
            advice="A tool that blocks the event loop holds up every run of this worker. Make it a plain "
            "`def` (it then runs in a thread), or await what it waits for.",
        )
        return self._stall

    def _allowed(self, stall: Stall, now: float) -> bool:
        if now < stall.deadline:
            return True
        if not self._gave_up:
            self._gave_up = True
            self._log.error(
                LogEvent.LEASE_LEFT_TO_EXPIRE,
                **_who(stall),
                stuck_in=place_in(stack_of(self._thread)),
                blocked_s=round(now - stall.since, 2),
                advice="The step is past its deadline and still blocks the event loop; others take over.",
            )
        return False

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._log.info(LogEvent.LOOP_FREE, **_who(self._stall), blocked_s=round(self._beat - self._stall.since, 2))
        self._stall, self._gave_up = None, False


def suspected(steps: Sequence[Step], frames: Sequence[FrameType]) -> list[Step]:
    """The steps that may be blocking: the tool whose function is on the stack, else every tool or step."""
    running = {frame.f_code.co_name for frame in frames}
    tools = [step for step in steps if step.what == "tool"]
    return [step for step in tools if step.name in running] or tools or list(steps)


def _who(stall: Stall) -> dict[str, str | list[str]]:
    return {"tool": stall.suspects[0]} if len(stall.suspects) == 1 else {"one_of": list(stall.suspects)}
