"""Going on when the database cannot be reached: nothing a worker does in the background may end for that."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, TypeVar

from holdfast.domain.errors import DatabaseUnavailable
from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


async def patiently(what: str, verb: Callable[[], Awaitable[T]]) -> T:
    """The result of `verb`, tried again, with backoff, for as long as the database is unavailable."""
    log = logger("worker", what=what)
    pause_s = _FIRST_PAUSE_S
    failing = False
    while True:
        try:
            result = await verb()
        except DatabaseUnavailable as error:
            if not failing:
                log.warning(LogEvent.DATABASE_UNAVAILABLE, cause=str(error))
            failing = True
        else:
            if failing:
                log.info(LogEvent.DATABASE_BACK)
            return result
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
