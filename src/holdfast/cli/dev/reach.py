"""Waiting for a database that is not there yet, or not any more: said once, for all processes that need it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.domain.errors import DatabaseUnavailable, HoldfastError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.wiring import Installation

AGAIN_S = 3


class Reach:
    """Looks whether the database of an installation answers."""

    def __init__(self, installation: Installation, say: Callable[[str], None]) -> None:
        self._installation, self._say = installation, say
        self._lock = asyncio.Lock()
        self._said = ""

    async def wait(self) -> None:
        """Return once it answers."""
        async with self._lock:
            while missing := await self._missing():
                if missing != self._said:
                    self._say(f"{missing} Tried again every {AGAIN_S} s.")
                self._said = missing
                await asyncio.sleep(AGAIN_S)
            if self._said:
                self._say("The database answers.")
            self._said = ""

    async def _missing(self) -> str:
        try:
            async with self._installation.database("api"):
                return ""
        except DatabaseUnavailable as error:
            return str(error)
        except HoldfastError:
            return ""  # it answers: what is wrong with it the processes say themselves
