"""How the engine stops an agent from inside.

`Interrupt` is a BaseException: user code, fallback models and error hooks that catch `Exception` must not
swallow it. It never crosses the edge of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from holdfast.domain.errors import OperatorError
from holdfast.domain.state import WaitingOn


class Interrupt(BaseException):
    """The agent stops here; `execution.py` says what becomes of the run."""


def interrupt_in(error: BaseException) -> Interrupt | None:
    """The interrupt that `error` is, that a task group has wrapped, or that user code made into it."""
    if isinstance(error, Interrupt):
        return error
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return next((found for one in group.exceptions if (found := interrupt_in(one)) is not None), None)
    behind = error.__cause__ or error.__context__
    # One that is raised from itself, as an append that was refused, is its own cause.
    return None if behind is None or behind is error else interrupt_in(behind)


class Park(Interrupt):
    """The run waits as rows."""

    def __init__(self, waiting_on: WaitingOn, why: str) -> None:
        super().__init__(why)
        self.waiting_on = waiting_on
        self.why = why
        self.names: tuple[str, ...] = ()
        """The tool or model that is halted, where the run is not."""
        self.wake_at: datetime | None = None
        """When it is taken up again by itself, by the database's clock."""
        self.budget, self.owner = "", ""
        """Which budget it waits for, and whose window of it."""


class Halted(Park):
    """A halt that this process has heard of. Whether it is in force still the append knows, by which the run parks."""

    def __init__(self, why: str, names: Sequence[str] = ()) -> None:
        super().__init__(WaitingOn.HALT, why)
        self.names = tuple(names)


class Lost(Interrupt):
    """Another worker holds the run: drop it, append nothing."""


class Away(Interrupt):
    """The installation does not answer: nothing is known to be wrong with the run, which goes back to the queue."""

    def __init__(self, error: OperatorError) -> None:
        super().__init__(str(error))
        self.error = error


class HandOver(Interrupt):
    """This process is leaving: the run goes back to the queue."""


class Cancelling(Interrupt):
    """Cancellation was asked for: no new intent."""


class Fail(Interrupt):
    """A person decided that the run fails, or nobody decided in time."""

    def __init__(self, why: str, error: str = "FailedByPerson") -> None:
        super().__init__(why)
        self.error = error


class LongRoad(Interrupt):
    """Something came up that only the capabilities can carry: the run goes on with them, from its journal."""


class OtherLimits(Interrupt):
    """The tenant's limits changed while the run was held: it goes on under them, from its journal."""


class Diverged(Interrupt):
    """The code does not do what the journal says it did."""

    def __init__(self, place: str, recorded: object, found: object) -> None:
        super().__init__(place)
        self.place = place
        self.recorded = recorded
        self.found = found
