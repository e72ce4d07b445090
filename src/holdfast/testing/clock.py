"""`FakeClock`: the database's clock, moved by a test.

Leases, timers and windows go by the database's clock, not by any machine's. Moving it lets a test see a lease expire
or a timer fire without waiting.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import psycopg


class FakeClock:
    """Moves the clock of one test database. Back to real time when the block ends.

    Args:
        admin_url: a login that owns the schema: never one that works.
    """

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._skew = timedelta()

    def __enter__(self) -> Self:
        self._set(timedelta())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set(timedelta())

    def advance(self, seconds: float) -> None:
        """Move the clock forward (or, with a negative number, back)."""
        self._set(self._skew + timedelta(seconds=seconds))

    def now(self) -> datetime:
        """What time the database has."""
        with psycopg.connect(self._admin_url) as connection:
            row = connection.execute("select holdfast.now()").fetchone()
        assert row is not None
        return row[0]

    def _set(self, skew: timedelta) -> None:
        with psycopg.connect(self._admin_url) as connection:
            connection.execute("set role holdfast_owner")
            connection.execute("update holdfast.clock set skew = %s", [skew])
        self._skew = skew
