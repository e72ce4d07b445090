"""Errors, named by who acts next. Each message says what happened and what to do.

`HoldfastError` is the root. Below it: `UserError` (the developer changes code or configuration),
`RequestError` (the caller changes the request), `OperatorError` (whoever runs the installation acts),
and `RunInterrupted` (the engine itself acts: it drops, parks or ends the run).
"""

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from holdfast.domain.budgets import Shortage


class HoldfastError(Exception):
    """The root of every error that Holdfast raises on purpose."""


class UserError(HoldfastError):
    """The developer changes code or configuration."""


class ToolsUndeclared(UserError):
    """An application has tools of which nobody has said what may be done with them."""


class ModelMissing(UserError):
    """A task's agent has no model: no run of it could succeed."""


class OperatorError(HoldfastError):
    """Whoever runs the installation acts: the database, its roles, its schema, its keys."""


class SchemaMismatch(OperatorError):
    """The schema in the database is older or newer than this code."""


class RoleTooPowerful(OperatorError):
    """The database login could bypass row level security."""


class RoleTooWeak(OperatorError):
    """The database login may not do what this process is for."""


class DatabaseUnavailable(OperatorError):
    """The database could not be reached for as long as the operation allows."""


class KeyUnavailable(OperatorError):
    """The wrapping key is missing, malformed, or not the one the content was sealed under."""


class RequestError(HoldfastError):
    """The caller changes the request. `slug` is the stable last part of the problem's type."""

    slug = "bad-request"
    status = 400
    retry_after_s: int | None = None
    """When the same request may be answered otherwise, where that is known."""


class NotFound(RequestError):
    """Nothing with that identity exists for this tenant."""

    slug = "not-found"
    status = 404


class Unauthenticated(RequestError):
    """No credential, or one that is not accepted. Whoever asks is told no more; `reason` is for the audit log."""

    slug = "unauthenticated"
    status = 401

    def __init__(self, reason: str) -> None:
        super().__init__("A valid credential is needed: send `Authorization: Bearer` with an API key or a token.")
        self.reason = reason


class TooManyAttempts(RequestError):
    """Too many credentials from there were refused."""

    slug = "too-many-attempts"
    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "Too many credentials from your address were refused, and this one was too. Send a valid one, or wait as "
            "long as Retry-After says."
        )
        self.retry_after_s = retry_after_s


class MissingScope(RequestError):
    """The credential is valid and does not reach this."""

    slug = "missing-scope"
    status = 403

    @classmethod
    def of(cls, scope: str) -> "MissingScope":
        """The scope that is missing."""
        return cls(
            f"This needs the scope '{scope}', which your credential does not have. Ask an administrator for a role "
            "that gives it, or use a key that is not narrowed."
        )


class PrincipalDisabled(MissingScope):
    """The principal that somebody wants to act as may do nothing."""


class MissingRole(RequestError):
    """The task is for other roles."""

    slug = "missing-role"
    status = 403


class UnknownTask(NotFound):
    """No task with that name is registered."""

    slug = "unknown-task"


class InvalidInput(RequestError):
    """The input does not fit the task's input type."""

    slug = "invalid-input"
    status = 422


class IdempotencyConflict(RequestError):
    """The idempotency key was used before with a different request."""

    slug = "idempotency-key-reused"
    status = 409


class UnknownScope(RequestError):
    """A key is narrowed to something that this release does not know."""

    slug = "unknown-scope"
    status = 409


class NameTaken(RequestError):
    """Another of its kind has this name."""

    slug = "name-taken"
    status = 409


class LastAdmin(RequestError):
    """Nobody could manage the tenant any more."""

    slug = "last-admin"
    status = 409


class TenantSuspended(RequestError):
    """The platform has stopped this tenant."""

    slug = "tenant-suspended"
    status = 409


class TenantActive(RequestError):
    """Only a suspended tenant can be deleted."""

    slug = "tenant-active"
    status = 409


class QuotaExceeded(RequestError):
    """The tenant may have no more of this."""

    slug = "quota-exceeded"
    status = 409


class HistoryGone(RequestError):
    """The session goes on from a run whose content retention has dropped."""

    slug = "session-history-gone"
    status = 410

    @classmethod
    def of(cls, session: UUID | None, run: UUID) -> "HistoryGone":
        """The session, and the run of it that is gone."""
        return cls(
            f"Session {session} cannot be gone on with: what was said in its run {run} is no longer stored, since "
            "retention dropped it. Start a new session: send a new id, or none. An agent that went on without it would "
            "not know what it does not know."
        )


class SessionDeleted(RequestError):
    """The session was deleted: nothing of it is shown or given any more."""

    slug = "session-deleted"
    status = 410

    @classmethod
    def of(cls, session: UUID) -> "SessionDeleted":
        """The session."""
        return cls(f"Session {session} was deleted. Start a new one: send a new id, or none.")


class UnderWay(RequestError):
    """A run that is at work settles this itself."""

    slug = "under-way"
    status = 409


class Outranked(RequestError):
    """Who declared the halt had more authority than who wants to lift it."""

    slug = "halt-outranked"
    status = 403


class AlreadyFinished(RequestError):
    """The run has ended; nothing more can be delivered to it."""

    slug = "run-finished"
    status = 409


class AlreadyDecided(RequestError):
    """Somebody decided this first, or a worker reported it."""

    slug = "already-decided"
    status = 409


class InvalidCursor(RequestError):
    """The cursor was not made by this interface."""

    slug = "invalid-cursor"


class InvalidCostQuery(RequestError):
    """Costs are asked for by something that they are not kept by, or for days that are none."""

    slug = "invalid-cost-query"
    status = 422


class TooLarge(RequestError):
    """The content is larger than the limit."""

    slug = "too-large"
    status = 413


class RunInterrupted(HoldfastError):
    """The engine acts: it drops, parks or ends the run."""

    def __init__(self, run: UUID, message: str) -> None:
        super().__init__(message)
        self.run = run


class RunLost(RunInterrupted):
    """Fenced: another worker holds the run, or it has ended. The writer drops it at once."""


class RunCancelling(RunInterrupted):
    """Cancellation was asked for: no new intent is committed. Facts still are."""


class RunHalted(RunInterrupted):
    """A halt covers the run: no new intent is committed. Facts still are."""


class RightsChanged(RunInterrupted):
    """The rights of the run's principal have changed since its holder read them: read them anew, then try again."""


class TalliesMoved(RunInterrupted):
    """A sum that the intent was decided on is another by now: read it anew, decide anew, then try again."""


class BoundWanted(RunInterrupted):
    """A budget may apply to what the intent announces: say what it may use at most, then try again."""


class OverBudget(RunInterrupted):
    """A budget has no room for what the intent may use, or nobody knows what that costs: nothing is announced."""

    shortage: "Shortage"
    """Which budget, and how it stands."""
    is_unpriced: bool = False


class SignalsPending(RunInterrupted):
    """The inbox holds signals that were not folded in: the run may not park or finish yet."""

    inbox_seq: int = 0
    """The last signal delivered."""


class AppendRejected(RunInterrupted):
    """The database refused this member by itself; the others of its batch were committed."""
