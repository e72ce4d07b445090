"""How a worker takes an answer, or the want of one. Each function gives what it knows of the run afterwards."""

from formal.scope import Scope
from formal.state import Hold, Member, Run


def answered(scope: Scope, hold: Hold, verdict: str) -> Hold | None:
    """After the database's answer to the member. None: the run is dropped."""
    member = hold.member
    assert member is not None
    if verdict == "appended":
        return _appended(hold, member)
    if verdict == "fenced":
        return hold._replace(phase="reread") if hold.doubted and scope.broken != "fenced_is_believed" else lost(hold)
    idle = hold._replace(phase="idle", member=None, doubted=False)
    if scope.broken == "facts_are_dropped_with_intents" and hold.known >= 0:
        idle = idle._replace(known=-1)
    match verdict:
        case "halted":
            return idle._replace(blocked=True, facts_only=True)
        case "cancelled":
            return idle._replace(must_fold=True, facts_only=True)
        case _:
            return idle._replace(must_fold=True)


def _appended(hold: Hold, member: Member) -> Hold | None:
    if member.next:
        return None
    starts = member.entries[-1][0] == "intent"
    settles = any(entry[0] == "outcome" and entry[1] == hold.known for entry in member.entries)
    return hold._replace(
        journal=member.expected + member.entries,
        folded=member.folded,
        phase="performing" if starts else "idle",
        member=None,
        doubted=False,
        known=-1 if settles else hold.known,
        must_fold=hold.must_fold and member.folded == hold.folded,
        blocked=hold.blocked and member.folded == hold.folded,
    )


def lost(hold: Hold) -> Hold | None:
    """After the worker learnt that the run is not its own any more. What it knows of an effect goes to the inbox."""
    if hold.known < 0:
        return None
    return hold._replace(phase="late", member=None)


def read_again(scope: Scope, hold: Hold, run: Run) -> tuple[Hold | None, Member | None]:
    """The reply was lost: read what became of the member. The second value: a member to send (again)."""
    member = hold.member
    assert member is not None
    if scope.broken in {"guess_appended", "guess_lost", "resend_on_current_head"}:
        return _guess(scope, hold, run, member)
    ours = member.expected + member.entries
    if run.journal[: len(ours)] == ours:
        return _appended(hold, member), None
    if run.journal == member.expected and hold.phase == "unknown":
        return hold._replace(phase="waiting", doubted=True), member
    return lost(hold), None


def _guess(scope: Scope, hold: Hold, run: Run, member: Member) -> tuple[Hold | None, Member | None]:
    if scope.broken == "guess_appended":
        return _appended(hold, member), None
    if scope.broken == "guess_lost" or (run.worker, run.epoch) != (hold.worker, hold.epoch):
        return lost(hold), None
    rebased = member._replace(expected=run.journal)
    return hold._replace(phase="waiting", member=rebased), rebased
