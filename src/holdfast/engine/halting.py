"""Which steps under way a halt cancels, and with what they are stopped."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from uuid import UUID

from holdfast.domain.halts import Covered, Halt, covering, names_of
from holdfast.engine.flight import StepInFlight
from holdfast.engine.interrupt import Halted


def held_back(
    run: Covered, halts: Sequence[Halt], out_of_grace: Container[UUID]
) -> Callable[[StepInFlight], Halted | None]:
    """Why a step of this run is to be cancelled; None: it is not.

    Model requests and calls that may run again are cancelled at once. A call that may not has until the grace of the
    halt is over, then it is cut off and in doubt. A plain function in a thread cannot be stopped: it is waited for.
    """

    def why(step: StepInFlight) -> Halted | None:
        halt = covering(halts, run, step.what, step.name)
        if halt is None or step.in_thread or not (step.cancellable or halt.id in out_of_grace):
            return None
        return halted_by(halt, step.what, step.name)

    return why


def halted_by(halt: Halt, what: str, name: str) -> Halted:
    """What stops a step that this halt covers."""
    if halt.scope.holds_intents:
        return Halted(f"The {what} '{name}' is halted: nothing new is started with it.", names_of(what, name))
    return Halted(f"A halt of this {halt.scope} is in force: nothing new is started.")
