"""What a run is doing right now, and the barrier at which parallel calls wait for each other.

The framework cancels the siblings of a tool call that raises. A call that suspends or fails therefore waits here
until every sibling that has started is settled, so that no effect is cut off half-way for want of patience.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from holdfast.domain.recovery import Recovery


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


class Flight:
    """All that one run has under way."""

    def __init__(self) -> None:
        self._steps: list[StepInFlight] = []
        self._arrivals: Counter[tuple[str, int]] = Counter()
        self._changed = asyncio.Event()

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

    @contextmanager
    def carrying(self, step: StepInFlight) -> Generator[None]:
        """`step` is under way while the block runs."""
        self._steps.append(step)
        try:
            yield
        finally:
            self._steps.remove(step)
            self._settle(step)

    async def wait_for_siblings(self, step: StepInFlight) -> None:
        """Count `step` as settled, and wait until every sibling is."""
        self._settle(step)
        while self.siblings(step):
            await self._changed.wait()

    async def wait_for_family(self, scope: str) -> None:
        """Wait until no call of the inner runs beside that of `scope` is under way."""
        beside = family(scope)
        while any(not other.settled and _within(other, beside) for other in self._steps):
            await self._changed.wait()

    async def wait_until_interruptible(self) -> None:
        """Wait until no effect is under way that would be in doubt if it were cut off."""
        while self.uninterruptible:
            await self._changed.wait()

    def _settle(self, step: StepInFlight) -> None:
        step.settled = True
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def family(scope: str) -> str:
    """What the scopes of all runs inside the same outer call begin with; empty for the run itself."""
    return scope[: scope.rfind(">") + 1]


def _within(step: StepInFlight, scopes: str) -> bool:
    return bool(scopes) and step.what == "tool" and step.group[0].startswith(scopes)
