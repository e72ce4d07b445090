"""Waiting for something to happen to a run: hints wake, polling stands behind them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self
from uuid import UUID

from holdfast.service.services import Services

POLL_S = 0.5
"""How long a lost hint can delay what is waited for."""


class Hearing:
    """Hears of one run. Begin hearing before looking, or what happens in between is noticed late."""

    def __init__(self, services: Services, run: UUID, *, live: bool = False) -> None:
        topics = [f"r:{run}", f"l:{run}"] if live else [f"r:{run}"]
        self._subscriptions = [services.hints.subscribe(topic) for topic in topics]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for subscription in self._subscriptions:
            subscription.close()

    async def wait(self, timeout_s: float) -> None:
        """Return when a hint came, or after `timeout_s`."""
        waits = [asyncio.ensure_future(one.wait(timeout_s)) for one in self._subscriptions]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
