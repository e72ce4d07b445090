"""What somebody is told whose decision changed nothing."""

from __future__ import annotations

from holdfast.domain.errors import AlreadyDecided, InvalidInput, RequestError
from holdfast.domain.verdict import Ask
from holdfast.service.approval_view import no_approval
from holdfast.store.approvals import ApprovalTask, Decision, Refusal


class DigestMismatch(RequestError):
    """The decision is about other content than the task shows."""

    slug = "digest-mismatch"
    status = 409


class EffectReported(AlreadyDecided):
    """The worker that lost the run has reported how the effect ended; the run has yet to read it."""

    slug = "effect-reported"


class AlreadyVoted(RequestError):
    """They have agreed already; others have to."""

    slug = "already-voted"
    status = 409


class ApprovalExpired(AlreadyDecided):
    """Nobody answered in time."""

    slug = "approval-expired"


class RunStopping(RequestError):
    """The run is to stop; nobody approves anything for it any more."""

    slug = "run-cancelling"
    status = 409


class MayNotDecide(RequestError):
    """This is for somebody else to decide."""

    slug = "may-not-decide"
    status = 403

    @classmethod
    def because(cls, why: Refusal, ask: str) -> MayNotDecide:
        """What `why` means of a task that asks this."""
        return cls(f"{_BECAUSE[why].format(who=_who(ask))} Nothing was changed.")


_BECAUSE: dict[Refusal, str] = {
    "no_person": "This needs the agreement of {who}: services do not give it, and neither does who works on the "
    "installation's own machine without being somebody of the tenant.",
    "disabled": "You are disabled.",
    "not_behind": "Only the person behind the run can say this, and that is somebody else.",
    "requester": "You are behind this call: the run is yours, you asked for it, or you edited its arguments. It needs "
    "the agreement of {who} who are not.",
    "role": "This needs the agreement of {who}, and you do not have such a role now. Ask an administrator.",
    "beholden": "Somebody behind this call admitted you, or gave you a role that lets you agree, only lately. It needs "
    "the agreement of {who} who do not owe it to them.",
    "one_hand": "Who made your link is behind this call or has a part in another vote on it. Log in with your own "
    "credential instead, or let somebody else make the link.",
}


def _who(ask: str) -> str:
    asked = Ask.parse(ask) if ask else Ask()
    if asked.role is None:
        return "the person behind the run"
    noun = "administrator" if asked.role == "admin" else "approver"
    return f"{'an' if noun[0] == 'a' else 'a'} {noun}" if asked.count == 1 else f"{asked.count} {noun}s"


def refusal_of(answer: Decision, row: ApprovalTask, first: str) -> RequestError:  # noqa: PLR0911 - one arm for each
    """What to raise for an answer by which nothing happened. `first` is the name of who decided."""
    match answer.outcome:
        case "already" if answer.state == "void":
            return AlreadyDecided("The run ended before anybody decided; there is nothing to decide any more.")
        case "already" if answer.decided_by == "expiry":
            return ApprovalExpired("Nobody answered in time, and it is no longer open. Nothing was changed.")
        case "already":
            return AlreadyDecided(f"This was decided first by {first}: {answer.state}. Nothing was changed.")
        case "again":
            return AlreadyVoted(
                f"You have agreed to this already: {answer.agreed} of {answer.needed} have. Somebody else has to now."
            )
        case "reported":
            return EffectReported(
                "The worker that lost this run has reported how the effect ended, and the run has yet to read it. "
                "Nothing was changed. Look again once a worker has taken the run up: the task is closed then, or still "
                "yours to decide."
            )
        case "cancelling":
            return RunStopping("The run is to stop: somebody cancelled it. Nothing was changed.")
        case "mismatch":
            return DigestMismatch(
                "The digest is not the one of what waits for a decision. Look at it again and decide on what it shows."
            )
        case "refused" if answer.why is not None:
            return MayNotDecide.because(answer.why, row.ask)
        case "invalid":
            return InvalidInput("This decision does not fit what is asked.")
        case _:
            return no_approval()
