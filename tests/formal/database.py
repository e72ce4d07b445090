"""What the database does: the append, signals, human tasks. Each function is one transaction, whole or not at all."""

from formal.engine import read
from formal.scope import Scope, nobody
from formal.state import FINAL, NOBODY, Member, Run, Signal


class Violation(Exception):
    """An invariant does not hold."""


def judge(scope: Scope, run: Run, member: Member, *, halted: bool) -> str:
    """What the append answers for this member, by the run's row as locked."""
    if not _fits(scope, run, member):
        return "fenced"
    refusable = member.intent or scope.broken == "halt_refuses_facts"
    if halted and refusable:
        return "halted"
    refusable = member.intent or scope.broken == "cancel_refuses_facts"
    if run.cancelling and refusable and scope.broken != "cancel_not_checked":
        return "cancelled"
    if member.next and run.inbox_seq != member.folded:
        unchecked = "park_ignores_inbox" if member.next == "parked" else "finish_ignores_inbox"
        if scope.broken != unchecked:
            return "signalled"
    return "appended"


def _fits(scope: Scope, run: Run, member: Member) -> bool:
    if scope.broken == "fence_ignores_seq":
        return (run.state, run.worker, run.epoch) == ("running", member.worker, member.epoch)
    if run.journal != member.expected:
        return False
    if scope.broken == "fence_is_only_seq":
        return run.state == "running"
    return (run.state, run.worker, run.epoch) == ("running", member.worker, member.epoch)


def append(run: Run, member: Member) -> Run:
    """The run after the member was appended."""
    after = run._replace(
        journal=member.expected + member.entries,
        folded=member.folded,
        claims=0 if any(entry[0] == "outcome" for entry in member.entries) else run.claims,
    )
    if member.task is not None:
        after = after._replace(tasks=(*after.tasks, (*member.task, "pending")))
    if member.next:
        tasks = tuple(
            (kind, step, "void" if member.next in FINAL and kind == "approval" and state == "pending" else state)
            for kind, step, state in after.tasks
        )
        after = nobody(after)._replace(state=member.next, why=member.why, claims=0, tasks=tasks)
    return after


def check_append(run: Run, member: Member, verdict: str, *, acknowledged: bool) -> None:
    """What must be true of every answer of an append."""
    if verdict != "appended":
        if verdict != "fenced" and not member.intent and not member.next:
            raise Violation(f"a fact was refused: {verdict}")
        return
    if run.ghost_grant != member.ghost_grant:
        raise Violation("a fenced writer's append was accepted")
    if run.journal != member.expected:
        raise Violation("two appends were accepted at one place of the journal")
    if member.intent and acknowledged:
        raise Violation("an intent committed after the halt was acknowledged")
    if member.intent and run.cancelling:
        raise Violation("an intent committed after the cancellation")
    finished = read(run.journal).finished
    for entry in member.entries:
        if entry[0] in {"intent", "outcome"} and entry[1] in finished:
            raise Violation(f"a finished step has another {entry[0]}")


def deliver(scope: Scope, run: Run, signal: Signal) -> Run:
    """Puts a signal into the inbox and wakes the run; a run that has ended refuses it."""
    if run.state in FINAL:
        return run
    counts = run.state == "parked" or scope.broken != "signal_counts_only_when_parked"
    wakes = run.state == "parked" and scope.broken != "signal_does_not_wake"
    return run._replace(
        signals=(*run.signals, signal),
        inbox_seq=run.inbox_seq + counts,
        cancelling=run.cancelling or signal[0] == "cancel",
        state="queued" if wakes else run.state,
        why="" if wakes else run.why,
    )


def decide(scope: Scope, run: Run, task: int, verdict: str) -> Run:
    """Settles a human task and tells the run: a run that has ended is not told."""
    kind, step, _ = run.tasks[task]
    tasks = (*run.tasks[:task], (kind, step, verdict), *run.tasks[task + 1 :])
    if scope.broken == "decisions_are_not_exclusive":
        tasks = run.tasks
    permits = tuple(n + (verdict == "not_done" and at == step) for at, n in enumerate(run.ghost_permits))
    return deliver(scope, run._replace(tasks=tasks, ghost_permits=permits), ("decision", task, step, verdict))


def is_held(run: Run) -> bool:
    """Whether some worker holds the run."""
    return run.worker != NOBODY
