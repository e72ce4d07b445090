"""What a worker does with a run that it holds, worked out from its own copy of the journal and nothing else."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from formal.state import Entry, Hold, Journal, Member, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formal.scope import Scope


class Replay(NamedTuple):
    """Where a journal stands."""

    finished: frozenset[int]
    open: frozenset[int]
    """Steps whose effect was intended and is not known to have finished."""
    doubted: frozenset[int]
    asked: frozenset[int]
    approved: frozenset[int]
    permitted: frozenset[int]
    """Steps of which a person said that the effect was not done, with no intent since."""
    cancelled: bool
    failed: bool


@cache
def read(journal: Journal, *, reopens: bool = False) -> Replay:  # noqa: C901 one arm for each kind of entry
    """Replay a journal. `reopens` is a rule broken: that a decision counts for a step that has finished since."""
    finished, open_, doubted, asked, approved, permitted = (set[int]() for _ in range(6))
    told = set[str]()
    for kind, *rest in journal:
        match kind:
            case "intent":
                open_.add(rest[0])
                doubted.discard(rest[0])
                permitted.discard(rest[0])
            case "outcome":
                finished.add(rest[0])
                open_.discard(rest[0])
            case "asked":
                asked.add(rest[0])
            case "doubt":
                doubted.add(rest[0])
            case "folded" if rest[0] == "decision":
                step, verdict = rest[2], rest[3]
                told.add(verdict)
                if verdict == "approved":
                    approved.add(step)
                elif verdict in {"rejected", "done"}:
                    finished.add(step)
                    open_.discard(step)
                elif verdict == "not_done" and (step in open_ or reopens):
                    finished.discard(step)
                    open_.discard(step)
                    doubted.discard(step)
                    permitted.add(step)
            case "folded":
                told.add(rest[0])
            case _:
                pass
    return Replay(
        *(frozenset(steps) for steps in (finished, open_, doubted, asked, approved, permitted)),
        cancelled="cancel" in told,
        failed="fail_run" in told,
    )


def choices(scope: Scope, hold: Hold, run: Run) -> Iterator[Member]:
    """The members that this worker may send next. Of the run's row it sees the inbox alone, and only if it looks."""
    if hold.known >= 0:
        yield from _with_outcome(scope, hold)
        return
    if len(run.signals) > hold.folded:
        yield _fold(scope, hold, run)
    if not hold.must_fold or len(run.signals) == hold.folded:
        yield _next(scope, hold, hold.journal, ())


def _with_outcome(scope: Scope, hold: Hold) -> Iterator[Member]:
    outcome = (("outcome", hold.known, hold.grant),)
    yield _member(hold, outcome)
    if scope.merge and not hold.facts_only and not hold.must_fold:
        merged = _next(scope, hold, hold.journal + outcome, outcome)
        if merged.intent:
            yield merged


def _fold(scope: Scope, hold: Hold, run: Run) -> Member:
    entries: list[Entry] = []
    finished = set(read(hold.journal).finished)
    for signal in run.signals[hold.folded :]:
        entries.append(("folded", *signal, hold.grant))
        step = signal[2] if signal[0] == "decision" and signal[3] in {"done", "rejected"} else None
        if signal[0] == "late" and signal[1] not in finished:
            entries.append(("outcome", signal[1], hold.grant))
            step = signal[1]
        if step is not None:
            finished.add(step)
    return _member(hold, tuple(entries))._replace(folded=len(run.signals))


def _next(scope: Scope, hold: Hold, journal: Journal, before: Journal) -> Member:  # noqa: PLR0911 one for each case
    replay = read(journal, reopens=scope.broken == "not_done_reopens")
    step = next((at for at in range(len(scope.program)) if at not in replay.finished), len(scope.program))
    doubt = (("doubt", step, hold.grant),)
    in_doubt = step in replay.open
    if replay.cancelled or replay.failed:
        end = "cancelled" if replay.cancelled else "failed"
        opens = in_doubt and step not in replay.doubted
        entries = (doubt if opens else ()) + (("ended", end, hold.grant),)
        return _member(hold, before + entries)._replace(next=end, task=("in_doubt", step) if opens else None)
    if hold.blocked:
        return _park(hold, (), "halt")
    if step == len(scope.program):
        return _member(hold, (*before, ("ended", "succeeded", hold.grant)))._replace(next="succeeded")
    once = scope.program[step].startswith("once")
    if in_doubt and once and scope.broken != "once_is_run_again":
        if step in replay.doubted:
            return _park(hold, (), "in_doubt")
        return _park(hold, doubt, "in_doubt")._replace(task=("in_doubt", step))
    if scope.program[step].endswith("?") and step not in replay.approved:
        if step in replay.asked:
            return _park(hold, (), "approval")
        return _member(hold, (*before, ("asked", step, hold.grant)))._replace(task=("approval", step))
    return _member(hold, (*before, ("intent", step, hold.grant)))._replace(intent=True)


def _park(hold: Hold, entries: Journal, why: str) -> Member:
    return _member(hold, (*entries, ("parked", why, hold.grant)))._replace(next="parked", why=why)


def _member(hold: Hold, entries: Journal) -> Member:
    return Member(hold.worker, hold.epoch, hold.journal, entries, hold.folded, ghost_grant=hold.grant)
