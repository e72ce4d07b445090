"""How the engine stops an agent from inside.

`Interrupt` is a BaseException: user code, fallback models and error hooks that catch `Exception` must not
swallow it. It never crosses the edge of the engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.domain.ids import Ref
from holdfast.domain.state import WaitingOn


class Interrupt(BaseException):
    """The agent stops here; `execution.py` says what becomes of the run."""


class Park(Interrupt):
    """The run waits as rows."""

    def __init__(self, waiting_on: WaitingOn, why: str) -> None:
        super().__init__(why)
        self.waiting_on = waiting_on
        self.why = why


class Lost(Interrupt):
    """Another worker holds the run: drop it, append nothing."""


class HandOver(Interrupt):
    """This process is leaving: the run goes back to the queue."""


class Cancelling(Interrupt):
    """Cancellation was asked for: no new intent."""


class Fail(Interrupt):
    """A person decided that the run fails."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of a divergence, as content."""

    recorded: Ref
    found: Ref


class Diverged(Interrupt):
    """The code does not do what the journal says it did."""

    def __init__(self, place: str, recorded: object, found: object) -> None:
        super().__init__(place)
        self.place = place
        self.recorded = recorded
        self.found = found
