"""The claim loop: as many runs as there are free slots, at once on a hint, and by polling behind it."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from holdfast.app import App
    from holdfast.store.claims import Claimed
    from holdfast.worker.carried import Carried

    Claim = Callable[[int, Sequence[str], Sequence[str], Sequence[int]], Awaitable[Sequence[Claimed]]]
    """`claim_runs` of one worker: want, tasks, versions, free slots of each task."""


_HEAD_START_S = 0.02
"""Between a claim that filled some of the slots and the next: those runs begin first, on a machine that is not busy
with looking for more."""


class Claimer:
    """Claims runs for `carried` until it is cancelled.

    Args:
        app: whose tasks are served.
        carried: where claimed runs go.
        claim: the store's verb, bound to the worker's id.
        poll_s: how often to look when no hint comes; jittered.
    """

    def __init__(self, app: App, carried: Carried, claim: Claim, *, poll_s: float) -> None:
        self._app, self._carried, self._claim, self._poll_s = app, carried, claim, poll_s
        self._wake = asyncio.Event()
        self._hungry = False
        self.between_claims = asyncio.Lock()
        """Held while a claim is under way: who holds it sees every run that is ours among those carried."""

    def hint(self) -> None:
        """Something was queued."""
        self._wake.set()

    def slot_freed(self) -> None:
        """A run ended here: claim again if more may be waiting than could be taken."""
        if self._hungry:
            self._wake.set()

    async def run(self) -> None:
        """Claim, wait, claim again."""
        while True:
            self._wake.clear()
            pause_s = _HEAD_START_S if await self._claim_once() else self._poll_s * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def _claim_once(self) -> bool:
        """Fill the free slots; whether it is worth asking again soon: there may be more, of other tenants or tasks."""
        free = {name: self._carried.free_of(name) for name in self._app.tasks}
        wanted = [name for name, slots in free.items() if slots > 0]
        self._hungry = len(wanted) < len(free)
        want = self._carried.free
        if not wanted:
            return False
        async with self.between_claims:
            claimed = await self._claim(
                want, wanted, [self._app[name].version for name in wanted], [free[name] for name in wanted]
            )
            for run in claimed:
                self._carried.start(run)
        self._hungry = self._hungry or len(claimed) >= min(free[name] for name in wanted)
        return bool(claimed) and self._carried.free > 0
