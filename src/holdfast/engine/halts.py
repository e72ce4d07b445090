"""What this process knows of halts: heard by one thread, looked at from all before anything is begun.

The append refuses intents that a halt covers, whatever is known here. This is for what was announced before: it is not
begun once the halt is known. Nor is anything begun where halts could not be asked for within a second, as in a process
that was stopped in between, or that the database does not answer.
"""

from __future__ import annotations

import asyncio
import math
import time
from time import clock_gettime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.domain.halts import Halt

CONFIRMED_S = 1.0
"""How long what was heard counts, from when it was asked for."""
# As of leases: it goes on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds of the clock that the second is counted with."""
    return clock_gettime(_CLOCK)


class Halts:
    """The halts in force, as last heard.

    Args:
        clock: seconds.
        fresh_until: until when nothing need be heard.
    """

    def __init__(self, clock: Callable[[], float] = now, *, fresh_until: float = -math.inf) -> None:
        self.clock = clock
        self.in_force: tuple[Halt, ...] = ()
        """Replaced as a whole: other threads read it."""
        self._fresh_until = fresh_until
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def doubtful(self) -> bool:
        """Whether there may be halts that were not heard of. From any thread."""
        return self.clock() > self._fresh_until

    def heard(self, halts: Iterable[Halt], asked_at: float) -> None:
        """These were in force at some time after `asked_at`. From the thread that asks."""
        self.in_force = tuple(halts)
        self._fresh_until = asked_at + CONFIRMED_S

    def wake(self) -> None:
        """Let those look who wait in the event loop."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def confirmed(self) -> None:
        """Return once it is known which halts are in force."""
        while self.doubtful:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


NONE = Halts(fresh_until=math.inf)
"""Of executions that no worker carries: the append alone tells them."""
