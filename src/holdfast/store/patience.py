"""Waiting for a place on a server that lets nobody in: for what has to get through when everything is overloaded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import psycopg

from holdfast.store.errors import is_login_refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_PAUSE_S = 0.02
"""Between attempts, always: whoever waits by longer and longer pauses loses each free place to those who do not."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection is asked for again and again, and who is told why that is needed."""

    for_s: float
    tell: Callable[[str], None]
    """Told the server's words, once for each reason."""

    async def connected(self, connect: Callable[[], Awaitable[T]]) -> T:
        """What `connect` gives, as soon as the server lets us in.

        Raises:
            psycopg.OperationalError: it refuses the login, or let nobody in for as long as we wait.
        """
        loop = asyncio.get_running_loop()
        until, told = loop.time() + self.for_s, set[str]()
        while True:
            try:
                return await connect()
            except psycopg.OperationalError as error:
                if is_login_refused(error) or loop.time() >= until:
                    raise
                why = str(error).strip()
                if why not in told:
                    self.tell(why)
                    told.add(why)
            await asyncio.sleep(_PAUSE_S)
