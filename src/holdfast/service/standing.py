"""Who asks, looked up anew while an answer goes on: rights that are lost meanwhile end it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.domain.principal import Who

FRESH_S = 1.0
"""How old what is known of somebody's rights may be while they are being answered."""

LookUp = Callable[[], Awaitable[Who]]
"""Asks the gate again. Raises what it raises for a credential that is not accepted any more."""


@dataclass(slots=True)
class Standing:
    """One who asks, for as long as the answer takes."""

    who: Who
    look_up: LookUp | None = None
    """None where there is no credential to ask about, as on the command line."""
    _looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()

    async def changed(self) -> bool:
        """Whether their rights are others than before; looked up once a second at most. `who` is then as they are now.

        Raises:
            Unauthenticated: the credential has ended.
        """
        now = asyncio.get_running_loop().time()
        if self.look_up is None or now - self._looked_at < FRESH_S:
            return False
        before, self.who = self.who, await self.look_up()
        self._looked_at = now
        return self.who != before
