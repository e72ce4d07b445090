"""What to do next. An operation is a kind and a number; what exactly it does is drawn from that number and from the
rows as they are, so that a list of operations still means something when some are left out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

from holdfast.store.hashing import GENESIS, chain_prefix, event_hash
from simulation.model import Answer, Model
from simulation.rows import LEASE, Event, Member, Run, Writer

Op = tuple[str, int]

WEIGHTS = {
    "append": 30,
    "claim": 14,
    "accept": 9,
    "signal": 9,
    "tick": 8,
    "pass_time": 6,
    "register": 5,
    "decide": 5,
    "renew": 4,
    "release": 4,
    "resend": 4,
    "halt": 3,
    "lift": 2,
    "expire": 2,
    "rights": 3,
    "leave": 1,
    "fail_over": 1,
    "again": 1,
}
INCIDENTS = 1_000_000
"""From this seed on, people are busy halting and lifting, and workers with what comes of that."""
IN_AN_INCIDENT = WEIGHTS | {"append": 24, "claim": 20, "halt": 16, "lift": 12, "expire": 4, "signal": 4, "decide": 2}
AT_US = 1_700_000_000_000_000
"""The writers' clock: a constant, for it only has to be the same on both sides."""
SIGNALS = ("cancel", "message", "message", "message", "late_outcome", "wake")
NAMES = ("tool:a", "tool:b", "model:a")
PLATFORM = UUID("00000000-0000-7000-8000-000000000000")
NEXT = ("parked", "parked", "parked", "succeeded", "failed", "cancelled")
WAITS = ("approval", "timer", "signal", "in_doubt", "code", "halt", "halt", "rights", "rights")


START = ("register", "accept", "accept", "claim", "append")
DEATH = ("register", "claim", "lease_time", "tick")


def operations(seed: int, count: int) -> list[Op]:
    """The operations of a seed. Each seed has its own likes: what is rare in most is common in some."""
    rng = Random(seed)
    usual = WEIGHTS if seed < INCIDENTS else IN_AN_INCIDENT
    weights = [weight * rng.choice((0.3, 1, 3)) for weight in usual.values()]
    kinds = list(START)
    while len(kinds) < count:
        deaths = rng.choice((1, 1, 2, 4)) if rng.random() < 0.02 else 0
        kinds += DEATH * deaths or rng.choices(list(WEIGHTS), weights)
    return [(kind, rng.getrandbits(32)) for kind in kinds[:count]]


@dataclass(frozen=True)
class Call:
    """One call of a verb of the store."""

    verb: str
    args: dict[str, Any]
    locked: Run | None = None
    """A run whose row somebody else holds while the call is made."""


def _uuid(rng: Random) -> UUID:
    # Of the year 2001 by their first bits: all go to the default partition, whenever the test is run.
    return UUID(int=(0x00E0_0000_0000 << 80) | (7 << 76) | rng.getrandbits(76))


@dataclass
class Plan:
    """Turns operations into calls, and remembers what the callers know."""

    seed: int
    model: Model
    tenants: tuple[UUID, ...] = ()
    writers: list[Writer] = field(default_factory=list[Writer])
    sent: list[Member] = field(default_factory=list[Member])
    accepted: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    workers: list[UUID] = field(default_factory=list[UUID])

    def __post_init__(self) -> None:
        rng = Random(f"tenants of {self.seed}")
        self.tenants = (_uuid(rng), _uuid(rng))

    @property
    def offers(self) -> list[tuple[str, str]]:
        """Tasks and versions. Claims cross tenants, so tasks have the seed's name."""
        return [(f"a{self.seed}", "1"), (f"a{self.seed}", "2"), (f"b{self.seed}", "1")]

    def call(self, op: Op) -> Call | None:
        """The call that this operation means now. None: there is nothing it could act on."""
        kind, number = op
        make: Callable[[Random], Call | None] = getattr(self, f"_{kind}")
        return make(Random(f"{kind} {number}"))

    # --- what the API does ---

    def _accept(self, rng: Random) -> Call:
        tenant, run = rng.choice(self.tenants), _uuid(rng)
        task, version = rng.choice(self.offers)
        body = f'{{"v":1,"n":{rng.randrange(1000)}}}'
        request = {
            "run": Run(
                tenant=tenant,
                id=run,
                task=task,
                version=version,
                priority=rng.choice((0, 0, 0, 5)),
                session=rng.choice((None, UUID(int=rng.randrange(3) + 1))),
                head=event_hash(chain_prefix(tenant, run), 1, b"run_accepted", AT_US, body.encode(), GENESIS),
                queued_at=0,
            ),
            "body": body,
            "key": rng.choice((None, f"k{rng.randrange(4)}")),
            "request": bytes([rng.randrange(2)]),
        }
        request["run"].events.append((1, "run_accepted", request["run"].head.hex()))
        self.accepted.append(request)
        return Call("accept_run", {**request, "run": _copy(request["run"])})

    def _again(self, rng: Random) -> Call | None:
        if not self.accepted:
            return None
        request = rng.choice(self.accepted)
        return Call("accept_run", {**request, "run": _copy(request["run"])})

    def _signal(self, rng: Random) -> Call | None:
        run = _one(rng, list(self.model.runs.values()))
        if run is None:
            return None
        tenant = rng.choice((*[run.tenant] * 19, self.tenants[0]))
        dedupe = rng.choice((None, None, f"d{rng.randrange(3)}"))
        return Call(
            "deliver_signal", {"tenant": tenant, "run_id": run.id, "kind": rng.choice(SIGNALS), "dedupe": dedupe}
        )

    def _decide(self, rng: Random) -> Call | None:
        task = _one(rng, list(self.model.tasks.values()))
        if task is None:
            return None
        verdict = rng.choice(("approved", "rejected", "done", "not_done", "fail_run"))
        if rng.random() < 0.7:
            verdict = "approved" if task.kind == "approval" else "not_done"
        args = {
            "tenant": rng.choice((*[task.tenant] * 9, self.tenants[0])),
            "task_id": task.id,
            "verdict": verdict,
            "digest": rng.choice((*[task.digest] * 9, "other")),
            "by": f"p{rng.randrange(3)}",
        }
        return Call("decide_approval", args)

    def _halt(self, rng: Random) -> Call:
        runs = list(self.model.runs.values())
        scope = rng.choice(("everything", "tenant", "task", "task", "run", "run", "session", "user", "tool", "model"))
        key = {
            "task": rng.choice(self.offers)[0],
            "run": str(rng.choice(runs).id if runs else _uuid(rng)),
            "session": str(UUID(int=rng.randrange(3) + 1)),
            "user": rng.choice(("me", "you")),
            "tool": rng.choice(("a", "b")),
            "model": rng.choice(("a", "p:a", "pa")),
        }.get(scope, "")
        tenant = PLATFORM if scope == "everything" else rng.choice(self.tenants)
        known = _one(rng, self.model.in_force()) if self.seed >= INCIDENTS and rng.random() < 0.3 else None
        if known is not None:
            tenant, scope, key = known.tenant, known.scope, known.key  # once more what is halted already
        args = {
            "tenant": tenant,
            "halt": _uuid(rng),
            "scope": scope,
            "key": key,
            "authority": rng.randint(1, 3),
            "for_s": rng.choice((None, None, 1800.0 * rng.randint(1, 4))),
        }
        return Call("declare_halt", args)

    def _lift(self, rng: Random) -> Call:
        halts = sorted(self.model.halts.values(), key=lambda halt: halt.id)
        in_force = [halt for halt in halts if halt.lifted_by is None]
        found = _one(rng, in_force if in_force and rng.random() < 0.8 else halts)
        tenant = rng.choice(self.tenants) if found is None or rng.random() < 0.1 else found.tenant
        halt = _uuid(rng) if found is None else found.id
        return Call("lift_halt", {"tenant": tenant, "halt": halt, "authority": rng.choice((1, 2, 3, 3, 3))})

    def _expire(self, rng: Random) -> Call:
        return Call("expire_halts", {})

    # --- what workers do ---

    def _rights(self, rng: Random) -> Call | None:
        writer = _one(rng, self.writers)
        if writer is None:
            return None
        args = {"tenant": writer.tenant, "run_id": writer.run, "worker": writer.worker, "epoch": writer.epoch}
        return Call("renew_rights", args)

    def _register(self, rng: Random) -> Call:
        worker = rng.choice(self.workers) if self.workers and rng.random() < 0.1 else _uuid(rng)
        if worker not in self.workers:
            self.workers.append(worker)
        a, b = self.offers[0][0], self.offers[2][0]
        serves = rng.choice(({a: ["1", "2"], b: ["1"]}, {a: ["1", "2"], b: ["1"]}, {a: ["1"]}, {a: ["2"], b: ["1"]}))
        return Call("register_worker", {"worker": worker, "serves": serves})

    def _renew(self, rng: Random) -> Call | None:
        worker = _one(rng, self.workers)
        if worker is None:
            return None
        held = [run.id for run in self.model.held_by(worker)]
        holding = [run for run in held if rng.random() < 0.8]
        if rng.random() < 0.3:
            holding += [run.id for run in self.model.runs.values() if run.id not in held][:1]
        return Call("renew_lease", {"worker": worker, "holding": holding})

    def _claim(self, rng: Random) -> Call | None:
        live = [worker for worker in self.workers if self.model.is_live(worker)]
        worker = _one(rng, live if live and rng.random() < 0.8 else self.workers)
        if worker is None:
            return None
        offers = self.offers if rng.random() < 0.7 else [rng.choice(self.offers)]
        want = rng.randint(1, 4)
        free = want if len(offers) > 1 else rng.randint(0, want)
        args = {"worker": worker, "want": want, "offers": offers, "free": free}
        return Call("claim_runs", args, self._locked(rng))

    def _release(self, rng: Random) -> Call | None:
        worker = _one(rng, self.workers)
        if worker is None:
            return None
        runs = [run.id for run in self.model.runs.values() if run.worker == worker or rng.random() < 0.2]
        return Call("release_runs", {"worker": worker, "runs": runs, "failed": rng.random() < 0.5})

    def _leave(self, rng: Random) -> Call | None:
        worker = _one(rng, self.workers)
        return Call("leave", {"worker": worker}) if worker else None

    def _tick(self, rng: Random) -> Call:
        return Call("tick", {}, None if self.model.failed_over else self._locked(rng))

    def _locked(self, rng: Random, odds: float = 0.1) -> Run | None:
        runs = [run for run in self.model.runs.values() if not run.ended]
        return rng.choice(runs) if runs and rng.random() < odds else None

    # --- what the world does ---

    def _pass_time(self, rng: Random) -> Call:
        return Call("pass_time", {"by": rng.randint(1, 4)})

    def _lease_time(self, rng: Random) -> Call:
        return Call("pass_time", {"by": LEASE})

    def _fail_over(self, rng: Random) -> Call:
        return Call("fail_over", {})

    # --- the append ---

    def _append(self, rng: Random) -> Call | None:
        if not self.writers:
            return None
        batch: dict[UUID, Member] = {}
        holders = [writer for writer in self.writers if self._holds(writer)]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            writer = rng.choice(holders if holders and rng.random() < 0.7 else self.writers)
            if writer.run not in batch:
                batch[writer.run] = self._once_in_session(self._member(rng, writer), batch.values())
        return Call("append", {"members": list(batch.values())}, self._locked(rng, 0.15))

    def _once_in_session(self, member: Member, others: Iterable[Member]) -> Member:
        """Which of two runs that succeed in one commit is the last of their session is not promised: not two."""
        sessions = {self.model.runs[other.tenant, other.run].session for other in others if other.next == "succeeded"}
        twice = member.next == "succeeded" and self.model.runs[member.tenant, member.run].session in sessions
        return replace(member, next="failed") if twice else member

    def _holds(self, writer: Writer) -> bool:
        run = self.model.runs[writer.tenant, writer.run]
        return run.state == "running" and (run.epoch, run.seq) == (writer.epoch, writer.seq)

    def _resend(self, rng: Random) -> Call | None:
        member = _one(rng, self.sent[-4:])
        return Call("append", {"members": [member]}) if member else None

    def _member(self, rng: Random, writer: Writer) -> Member:
        run = self.model.runs[writer.tenant, writer.run]
        ends = rng.random() < 0.3
        member = Member(
            tenant=writer.tenant,
            run=writer.run,
            worker=writer.worker if rng.random() < 0.95 else rng.choice(self.workers),
            epoch=writer.epoch,
            seq=writer.seq,
            head=writer.head,
            events=_events(rng, writer),
            folded=run.inbox if rng.random() < 0.5 else writer.folded,
            flags=(0 if ends else int(rng.random() < 0.5)) | rng.choice((0, 2)) | rng.choice((0, 0, 0, 4)),
            increments=tuple(rng.randrange(3) for _ in range(5)),
            blobs=tuple(bytes([rng.randrange(8)]) * 32 for _ in range(rng.choice((0, 0, 1)))),
            names=rng.choice((None, (NAMES[1],), (rng.choice(NAMES),), NAMES[:2], NAMES[2:])),
            tasks=tuple((_uuid(rng), kind, f"g{rng.randrange(9)}") for kind in _kinds(rng)),
        )
        if not ends:
            return member
        next_ = rng.choice(NEXT)
        wakes = next_ == "parked" and rng.random() < 0.5
        waits = rng.choice(WAITS) if next_ == "parked" else None
        return replace(
            member,
            next=next_,
            waiting_on=waits,
            unsure=waits == "halt" and rng.random() < 0.5,
            wake_at=self.model.now + rng.randint(-1, 3) if wakes else None,
        )

    # --- what callers learn from answers ---

    def learn(self, op: Op, call: Call, answer: Answer) -> None:
        """Writers take note of what was appended, unless the reply is lost, and of what was claimed."""
        if call.verb == "claim_runs":
            for tenant, run, epoch, seq, head, _, folded, *_ in answer:
                self.writers.append(Writer(tenant, run, call.args["worker"], epoch, seq, head, folded))
        if call.verb != "append":
            return
        hears = Random(f"hears {op[1]}").random() < 0.9
        for member, row in zip(call.args["members"], answer, strict=True):
            self.sent.append(member)
            if hears and row[1] == "appended":
                self._advance(member)

    def _advance(self, member: Member) -> None:
        for writer in self.writers:
            if (writer.run, writer.epoch) == (member.run, member.epoch):
                writer.seq, writer.head = member.events[-1].seq, member.events[-1].hash
                writer.folded = member.folded


def _copy(run: Run) -> Run:
    return replace(run, events=list(run.events), blobs=set(), signals=[])


def _one(rng: Random, things: Sequence[Any]) -> Any:
    return rng.choice(things) if things else None


def _kinds(rng: Random) -> tuple[str, ...]:
    return rng.choice(((), (), (), ("approval",), ("in_doubt",), ("approval", "approval")))


def _events(rng: Random, writer: Writer) -> tuple[Event, ...]:
    prefix, previous = chain_prefix(writer.tenant, writer.run), writer.head
    events = list[Event]()
    for seq in range(writer.seq + 1, writer.seq + 1 + rng.randint(1, 3)):
        body = f'{{"v":1,"n":{rng.getrandbits(20)}}}'
        previous = event_hash(prefix, seq, b"noted", AT_US, body.encode(), previous)
        events.append(Event(seq, "noted", body, previous))
    return tuple(events)
