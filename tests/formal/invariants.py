"""What must be true in every state. What must be true of a move is checked where the move is made."""

from formal.database import Violation, is_held
from formal.state import FINAL, Run, World


def check(world: World) -> None:
    """Check every invariant of a state.

    Raises:
        Violation: one does not hold.
    """
    for run in world.runs:
        _row(run)
    for worker in world.workers:
        for run, hold in zip(world.runs, worker.holds, strict=True):
            if hold is not None and run.journal[: len(hold.journal)] != hold.journal:
                raise Violation("an acknowledged append is not in the journal")


def _row(run: Run) -> None:
    if (run.state == "running") is not is_held(run):
        raise Violation("a run is held and not running, or running and held by nobody")
    if (run.state in FINAL or run.state == "parked") and run.folded != len(run.signals):
        raise Violation(f"a {run.state} run has signals that were not folded in")
    if len(set(run.journal)) != len(run.journal):
        raise Violation("an event is in the journal twice")
    folded = [entry[1:-1] for entry in run.journal if entry[0] == "folded"]
    if folded != list(run.signals[: run.folded]):
        raise Violation("what was folded in is not the inbox in its order")
    decided = [signal[1] for signal in run.signals if signal[0] == "decision"]
    if len(set(decided)) != len(decided):
        raise Violation("a human task was decided twice")
