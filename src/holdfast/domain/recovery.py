"""Recovery classes: what may be done with an effect that started and is not known to have finished."""

from enum import StrEnum


class Recovery(StrEnum):
    """How a tool call may be recovered after a crash."""

    PURE = "pure"
    """No outside consequence: run again freely."""
    IDEMPOTENT = "idempotent"
    """Run again with the same idempotency key; the other side recognises it."""
    RECONCILE = "reconcile"
    """Ask the tool's probe whether it happened, then decide."""
    DELEGATE = "delegate"
    """The body only runs declared agents: enter it again, its inner steps are journaled."""
    ONCE = "once"
    """Never run again by itself: in doubt until a person says. The class of every undeclared tool."""

    @property
    def reruns(self) -> bool:
        """Whether the body may be entered again without asking anyone."""
        return self in {Recovery.PURE, Recovery.IDEMPOTENT, Recovery.DELEGATE}

    @property
    def is_effect(self) -> bool:
        """Whether it has consequences outside that are its own."""
        return self not in {Recovery.PURE, Recovery.DELEGATE}
