"""Everything that may happen next. Kinds: `work` (workers, ticks, the database), `person`, `misfortune`."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from formal.database import Violation, append, check_append, decide, deliver, judge
from formal.engine import choices, read
from formal.scope import MISFORTUNES, Scope, nobody
from formal.state import FINAL, NOBODY, Hold, Member, Message, Run, Signal, Worker, World
from formal.worker import answered, lost, read_again


class Move(NamedTuple):
    """One step of the world."""

    kind: str
    label: str
    after: World


def moves(scope: Scope, world: World) -> Iterator[Move]:
    """All moves from here.

    Raises:
        Violation: one of them breaks an invariant.
    """
    eager = _eager(scope, world)
    if eager is not None:
        yield eager
        return
    for slot, worker in enumerate(world.workers):
        yield from _process(scope, world, slot, worker)
        for at in range(len(world.runs)):
            yield from _claiming(scope, world, slot, worker, at)
            hold = worker.holds[at]
            if hold is not None and worker.up:
                yield from _carrying(scope, world, slot, at, hold)
    for message in world.net:
        yield from _message(scope, world, message)
    for at, run in enumerate(world.runs):
        yield from _tick(scope, world, at, run)
        yield from _people(scope, world, at, run)
    yield from _leases(scope, world)
    yield from _halt(scope, world)


def _eager(scope: Scope, world: World) -> Move | None:
    """A send that nobody can see and that has no alternative: what else might happen can as well happen after it."""
    if scope.signals or scope.merge or scope.staged or any(run.tasks or run.signals for run in world.runs):
        return None
    for slot, worker in enumerate(world.workers):
        for at, hold in enumerate(worker.holds):
            if worker.up and hold is not None and hold.phase == "idle":
                (member,) = choices(scope, hold, world.runs[at])
                if _skips_intent(scope, hold, member):
                    return None
                return _send(world, slot, at, hold, member)
    return None


def forget(scope: Scope, world: World) -> World:
    """The world without the orphaned statements that no future can accept: an epoch never goes back, nor a journal.

    Only where every rule is kept: a broken one may accept them.
    """
    if scope.broken:
        return world
    for message in world.net:
        run, member = world.runs[message.run], message.member
        past = run.epoch > member.epoch or len(run.journal) > len(member.expected) or run.state in FINAL
        if message.orphan and past and not (scope.staged and message.stage):
            world = world._replace(net=world.net - {message})
    return world


# --- the parts of a world ---


def _spend(scope: Scope, world: World, name: str) -> World | None:
    at = MISFORTUNES.index(name)
    if not world.budget[at]:
        return None
    if sum(scope.start_budget) - sum(world.budget) + 1 == scope.at_most:
        return world._replace(budget=(0,) * len(world.budget))
    return world._replace(budget=(*world.budget[:at], world.budget[at] - 1, *world.budget[at + 1 :]))


def _put_run(world: World, at: int, run: Run) -> World:
    return world._replace(runs=(*world.runs[:at], run, *world.runs[at + 1 :]))


def _put_worker(world: World, slot: int, worker: Worker) -> World:
    return world._replace(workers=(*world.workers[:slot], worker, *world.workers[slot + 1 :]))


def _put_hold(world: World, slot: int, at: int, hold: Hold | None) -> World:
    holds = world.workers[slot].holds
    return _put_worker(world, slot, world.workers[slot]._replace(holds=(*holds[:at], hold, *holds[at + 1 :])))


def _orphan(world: World, slot: int, at: int | None = None) -> World:
    """Nobody waits any more for what this worker sent (about one run)."""
    net = (m._replace(orphan=True) if m.slot == slot and (at is None or m.run == at) else m for m in world.net)
    return world._replace(net=frozenset(net))


# --- workers ---


def _process(scope: Scope, world: World, slot: int, worker: Worker) -> Iterator[Move]:
    none = (None,) * len(world.runs)
    if not worker.up:
        born = _put_worker(world, slot, Worker(worker.id + 10, True, none))
        if any(other.up for other in world.workers):
            return  # one that comes up is like the other that is up
        yield Move("work", f"worker {slot} starts anew", born._replace(live=world.live | {worker.id + 10}))
        return
    spent = _spend(scope, world, "crash")
    if spent:
        dead = _put_worker(_orphan(spent, slot), slot, worker._replace(up=False, holds=none))
        # When its lease expires is when the tick acts on it: no state of its own.
        yield Move("misfortune", f"worker {slot} dies", dead._replace(live=world.live - {worker.id}))
    if worker.id not in world.live:
        holds = tuple(None if hold is None else lost(hold) for hold in worker.holds)
        told = _put_worker(_orphan(world, slot), slot, Worker(worker.id + 10, True, holds))
        after = told._replace(live=world.live | {worker.id + 10})
        yield Move("work", f"worker {slot} is told that its lease expired", after)


def _claiming(scope: Scope, world: World, slot: int, worker: Worker, at: int) -> Iterator[Move]:
    run = world.runs[at]
    if not worker.up or worker.id not in world.live or worker.holds[at] is not None:
        return
    if run.worker == worker.id and scope.broken != "strays_are_kept":
        queued = nobody(run)._replace(state="queued", claims=max(run.claims - 1, 0))
        yield Move("work", f"worker {slot} releases run {at}, a stray", _put_run(world, at, queued))
    stolen = scope.broken == "rescue_changes_nothing" and run.state == "running" and run.worker not in world.live
    if run.state != "queued" and not stolen:
        return
    if at == 0 and run.ghost_grants == 0 and any(earlier.up for earlier in world.workers[:slot]):
        return  # workers are alike: whoever is first is the first
    grant = run.ghost_grants + 1
    claimed = run._replace(claims=run.claims + 1, ghost_grant=grant, ghost_grants=grant)
    if not stolen:
        bump = scope.broken != "claim_keeps_epoch"
        claimed = claimed._replace(state="running", worker=worker.id, epoch=run.epoch + bump)
    world = _put_run(world, at, claimed)
    hold = Hold(claimed.worker, claimed.epoch, grant, run.journal, len(run.journal), run.folded)
    yield Move("work", f"worker {slot} claims run {at}", _put_hold(world, slot, at, hold))
    spent = _spend(scope, world, "lose_claim")
    if spent:
        yield Move("misfortune", f"worker {slot} claims run {at}, reply lost", spent)


def _carrying(scope: Scope, world: World, slot: int, at: int, hold: Hold) -> Iterator[Move]:
    run = world.runs[at]
    match hold.phase:
        case "idle":
            for member in choices(scope, hold, run):
                if _skips_intent(scope, hold, member):
                    yield _perform(scope, world, slot, at, hold, member.entries[-1][1])
                else:
                    yield _send(world, slot, at, hold, member)
        case "performing":
            yield _perform(scope, world, slot, at, hold, hold.journal[-1][1])
        case "unknown" | "reread":
            after, again = read_again(scope, hold, run)
            if again is None or after is None:
                yield Move("work", f"worker {slot} reads what became", _put_hold(world, slot, at, after))
            else:
                yield _send(world, slot, at, after, again)
        case "late":
            told = _put_run(world, at, deliver(scope, run, ("late", hold.known, hold.grant)))
            yield Move("work", f"worker {slot} reports a late outcome", _put_hold(told, slot, at, None))
        case _:
            pass
    spent = _spend(scope, world, "release")
    if spent and hold.phase in {"idle", "waiting"} and hold.known < 0 and run.worker == hold.worker:
        queued = nobody(run)._replace(state="queued", claims=max(run.claims - 1, 0))
        after = _put_hold(_put_run(_orphan(spent, slot, at), at, queued), slot, at, None)
        yield Move("misfortune", f"worker {slot} hands run {at} over", after)


def _send(world: World, slot: int, at: int, hold: Hold, member: Member) -> Move:
    waiting = hold._replace(phase="waiting", member=member)
    after = _put_hold(world, slot, at, waiting)
    names = "+".join(entry[0] for entry in member.entries)
    return Move("work", f"worker {slot} sends {names}", after._replace(net=world.net | {Message(slot, at, member)}))


def _skips_intent(scope: Scope, hold: Hold, member: Member) -> bool:
    if scope.broken == "not_done_needs_no_intent":
        return member.intent and member.entries[-1][1] in read(hold.journal).permitted
    return member.intent and scope.broken == "effect_before_intent"


def _perform(scope: Scope, world: World, slot: int, at: int, hold: Hold, step: int) -> Move:
    run = world.runs[at]
    if ("intent", step, hold.grant) not in run.journal:
        raise Violation("an effect was performed and its intent is not committed")
    if run.ghost_grant == hold.grant and step in read(run.journal).finished:
        raise Violation("a finished step was executed again")
    if step in hold.ghost_did:
        raise Violation("a worker performed a step twice")
    done = tuple(n + (which == step) for which, n in enumerate(run.ghost_done))
    if scope.program[step].startswith("once") and done[step] > 1 + run.ghost_permits[step]:
        raise Violation("a once effect was performed again and nobody had said that it was not done")
    if scope.program[step].endswith("?") and run.tasks and ("approval", step, "approved") not in run.tasks:
        raise Violation("an effect was performed without its approval")
    knows = hold._replace(phase="idle", known=step, ghost_did=(*hold.ghost_did, step))
    after = _put_hold(_put_run(world, at, run._replace(ghost_done=done)), slot, at, knows)
    return Move("work", f"worker {slot} performs step {step}", after)


# --- the append on its way ---


def _message(scope: Scope, world: World, message: Message) -> Iterator[Move]:
    hold = world.workers[message.slot].holds[message.run]
    rest = world._replace(net=world.net - {message})
    if not message.orphan and message.stage == 0:
        spent = _spend(scope, rest, "delay")
        if spent and hold is not None:
            unsure = _put_hold(spent, message.slot, message.run, hold._replace(phase="unknown"))
            after = unsure._replace(net=unsure.net | {message._replace(orphan=True)})
            yield Move("misfortune", "a connection is lost under a statement", after)
    if scope.staged and message.stage < 2:
        yield from _stage(scope, world, rest, message)
    else:
        yield from _execute(scope, world, rest, message)


def _stage(scope: Scope, world: World, rest: World, message: Message) -> Iterator[Move]:
    early = scope.broken in {"halt_lock_in_statement", "halt_is_not_locked_out"}
    locks = (message.stage == 0) is not early and scope.broken != "halt_is_not_locked_out"
    if locks and world.halt == "locked":
        return  # waits
    seen = message.seen
    if (message.stage == 1) is not early:
        seen = world.halt == "acknowledged"
    if scope.broken == "fence_is_read_before":
        seen = judge(scope, world.runs[message.run], message.member, halted=False) == "appended"
    further = message._replace(stage=message.stage + 1, seen=seen)
    label = "takes the halt lock" if locks else "takes its snapshot"
    yield Move("work", f"the append of worker {message.slot} {label}", rest._replace(net=rest.net | {further}))


def _execute(scope: Scope, world: World, rest: World, message: Message) -> Iterator[Move]:
    run, member = world.runs[message.run], message.member
    acknowledged = world.halt == "acknowledged"
    if scope.broken == "fence_is_read_before":
        verdict = "appended" if message.seen else "fenced"
    else:
        verdict = judge(scope, run, member, halted=message.seen if scope.staged else acknowledged)
    check_append(run, member, verdict, acknowledged=acknowledged)
    after = _put_run(rest, message.run, append(run, member)) if verdict == "appended" else rest
    hold = world.workers[message.slot].holds[message.run]
    if message.orphan or hold is None:
        yield Move("work", f"an orphaned append is {verdict}", after)
        return
    if verdict == "appended" and member.next and set(hold.ghost_did) - read(after.runs[message.run].journal).finished:
        raise Violation("a run was let go of without an outcome that its holder knew")
    held = _put_hold(after, message.slot, message.run, answered(scope, hold, verdict))
    yield Move("work", f"the append of worker {message.slot} is {verdict}", held)
    spent = _spend(scope, after, "lose")
    if spent:
        unsure = _put_hold(spent, message.slot, message.run, hold._replace(phase="unknown"))
        yield Move("misfortune", f"the append of worker {message.slot} is {verdict}, reply lost", unsure)


# --- the tick, people, leases, halts ---


def _tick(scope: Scope, world: World, at: int, run: Run) -> Iterator[Move]:
    if (
        run.worker != NOBODY
        and run.worker not in world.live
        and scope.broken
        not in {
            "nobody_is_rescued",
            "rescue_changes_nothing",
        }
    ):
        hopeless = run.claims >= scope.quarantine_at and not run.cancelling
        state, why = ("parked", "quarantine") if hopeless else ("queued", "")
        yield Move(
            "work", f"tick: run {at} is {state}", _put_run(world, at, nobody(run)._replace(state=state, why=why))
        )
    spent = _spend(scope, world, "wake")
    if spent and run.state == "parked":
        yield Move("misfortune", f"tick wakes run {at}", _put_run(spent, at, run._replace(state="queued", why="")))


def _people(scope: Scope, world: World, at: int, run: Run) -> Iterator[Move]:
    for kind in scope.signals:
        signal: Signal = (kind,)
        if signal not in run.signals and run.state not in FINAL:
            yield Move("person", f"{kind} for run {at}", _put_run(world, at, deliver(scope, run, signal)))
    for number, (kind, _, state) in enumerate(run.tasks):
        if state != "pending":
            continue
        if scope.broken == "decisions_are_not_exclusive" and len(run.signals) > 1:
            continue
        for verdict in ("approved", "rejected") if kind == "approval" else ("done", "not_done", "fail_run"):
            yield Move("person", f"decides {verdict}", _put_run(world, at, decide(scope, run, number, verdict)))


def _leases(scope: Scope, world: World) -> Iterator[Move]:
    for owner in world.live:
        spent = _spend(scope, world._replace(live=world.live - {owner}), "expire")
        if spent:
            yield Move("misfortune", f"the lease of {owner} expires though it lives", spent)


def _halt(scope: Scope, world: World) -> Iterator[Move]:
    spent = _spend(scope, world, "halt")
    if world.halt == "none" and spent and not any(_holds_lock(scope, message) for message in world.net):
        yield Move("misfortune", "a halt takes the lock", spent._replace(halt="locked"))
    if world.halt == "locked":
        yield Move("work", "the halt commits and is acknowledged", world._replace(halt="acknowledged"))
    spent = _spend(scope, world, "lift")
    if world.halt == "acknowledged" and spent:
        runs: Iterable[Run] = world.runs
        if scope.broken == "lift_tells_only_parked":
            runs = (deliver(scope, run, ("lifted",)) if run.state == "parked" else run for run in runs)
        else:
            runs = (deliver(scope, run, ("lifted",)) for run in runs)
        yield Move("person", "the halt is lifted", spent._replace(halt="none", runs=tuple(runs)))


def _holds_lock(scope: Scope, message: Message) -> bool:
    if scope.broken in {"halt_does_not_wait", "halt_is_not_locked_out"}:
        return False
    return message.stage >= (2 if scope.broken == "halt_lock_in_statement" else 1)
