"""What every execution of a process shares. Made in `wiring.py`, and by tests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import uuid_utils.compat

from holdfast.engine import halts
from holdfast.engine.governor import Governor
from holdfast.engine.late import LateReports
from holdfast.guards.prices import PriceBook

if TYPE_CHECKING:
    from holdfast.store.hints import Hints
    from holdfast.store.journal import JournalWriter
    from holdfast.store.live import LivePublisher
    from holdfast.store.pool import Database
    from holdfast.store.reader import RunReader
    from holdfast.store.vault import Vault


def utc_now() -> datetime:
    """The writer's clock: what events are stamped with, and how latencies are measured."""
    return datetime.now(UTC)


def no_probe(_point: str) -> None:
    """Crash points are passed by."""


class Lease(Protocol):
    """The lease that runs are held under."""

    @property
    def expired(self) -> bool:
        """Whether it has run out, by this machine's clock. Asked before every step, from any thread."""
        ...

    @property
    def halts(self) -> halts.Halts:
        """What is known of halts where it is held."""
        ...


class Unending:
    """A lease that does not run out: of executions that nobody but the fence takes a run from."""

    expired = False
    halts = halts.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Gear:
    """The collaborators of an execution."""

    db: Database
    writer: JournalWriter
    reader: RunReader
    vault: Vault
    hints: Hints
    live: LivePublisher | None = None
    prices: PriceBook = field(default_factory=PriceBook)
    governor: Governor = field(default_factory=Governor)
    late: LateReports = field(default_factory=LateReports)
    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that only go forward, for how old what is known of somebody has become."""
    random: Callable[[], float] = random.random
    """For what is to be spread over time."""
    new_id: Callable[[], UUID] = uuid_utils.compat.uuid7
    probe: Callable[[str], None] = no_probe
    """Called at each named point inside the step pipeline; crash tests end the process there."""
