"""The states of a run, and what a parked run waits for."""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PARKED = "parked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be done."""
        return self in {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}


class WaitingOn(StrEnum):
    """What a parked run waits for."""

    APPROVAL = "approval"
    QUESTION = "question"
    """A tool wants to know something: until somebody answers."""
    IN_DOUBT = "in_doubt"
    LIMIT = "limit"
    """Its next step would exceed a limit: until somebody who may raises it."""
    BUDGET = "budget"
    """A budget has no room for its next step: until it begins anew, is raised, or others settle what they hold."""
    ESCALATION = "escalation"
    """It would fail, or is in a loop, and its task has people say what becomes of it."""
    TIMER = "timer"
    SIGNAL = "signal"
    CODE = "code"
    """A code version that no worker has, or a structure that no longer matches the journal."""
    QUARANTINE = "quarantine"
    """It was claimed again and again without getting anywhere, as a run that kills its workers is."""
    HALT = "halt"
    RIGHTS = "rights"
    """The principal it runs for was disabled, or lost what the task needs."""
    LOGIN = "login"
    """What an identity provider said of its principal is older than the task allows: until they sign in again."""
