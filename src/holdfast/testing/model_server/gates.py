"""Gates hold an answer until a test lets it go, so that tests wait for facts and never sleep.

A gate is held from the start; nobody needs to create it. All of this runs on the server's event loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Gate:
    is_open: bool = False
    permits: int = 0
    waiting: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])
    watching: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list[tuple[int, asyncio.Future[None]]])


class Gates:
    """The gates of one server, by name."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}

    async def enter(self, name: str) -> None:
        """Go through, or wait until the gate is released."""
        gate = self._gate(name)
        if gate.is_open:
            return
        if gate.permits:
            gate.permits -= 1
            return
        await self._queue(name, gate)

    def release(self, name: str, count: int | None = None) -> None:
        """Let everyone through from now on, or only the next `count` (of those waiting, or else to come)."""
        gate = self._gate(name)
        waiting = [each for each in gate.waiting if not each.done()]
        if count is None:
            gate.is_open = True
            count = len(waiting)
        else:
            gate.permits += max(0, count - len(waiting))
        for waiter in waiting[:count]:
            waiter.set_result(None)
        gate.waiting = waiting[count:]

    def hold(self, name: str) -> None:
        """Close the gate again."""
        gate = self._gate(name)
        gate.is_open, gate.permits = False, 0

    def state(self, name: str) -> dict[str, str | bool | int]:
        """Whether the gate is open and how many answers wait at it."""
        gate = self._gate(name)
        return {"name": name, "open": gate.is_open, "waiting": len(gate.waiting)}

    async def until_held(self, name: str, count: int = 1) -> None:
        """Wait until `count` answers wait at the gate."""
        gate = self._gate(name)
        if len(gate.waiting) >= count:
            return
        watcher = (count, asyncio.get_running_loop().create_future())
        gate.watching.append(watcher)
        try:
            await watcher[1]
        finally:
            gate.watching.remove(watcher)

    def _gate(self, name: str) -> _Gate:
        return self._gates.setdefault(name, _Gate())

    async def _queue(self, name: str, gate: _Gate) -> None:
        waiter = asyncio.get_running_loop().create_future()
        gate.waiting.append(waiter)
        for count, watcher in gate.watching:
            if len(gate.waiting) >= count and not watcher.done():
                watcher.set_result(None)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in gate.waiting:
                gate.waiting.remove(waiter)
            if not waiter.cancelled() and not gate.is_open:
                # Let through in the moment its client went: the next one gets the permit.
                self.release(name, 1)
            raise
