"""The store's verbs as store.md states them, on plain values: each changes the rows and gives the answer expected."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from simulation.rows import FINAL, LEASE, NAMED, Halt, Member, Run, Task, Worker

Answer = list[tuple[Any, ...]]
HOPELESS = 3
"""Claims in a row without progress after which a run is in quarantine."""


class Model:
    """All rows of one seed."""

    def __init__(self) -> None:
        self.now = 0
        self.beat = 0
        """Counts calls: two that follow each other have different times."""
        self.runs: dict[tuple[UUID, UUID], Run] = {}
        self.workers: dict[UUID, Worker] = {}
        self.tasks: dict[UUID, Task] = {}
        self.keys: dict[tuple[UUID, str], tuple[bytes, UUID]] = {}
        self.sessions: dict[tuple[UUID, UUID], UUID | None] = {}
        self.halts: dict[UUID, Halt] = {}
        self.failed_over = False

    # --- accepting, signals, decisions, halts ---

    def accept_run(self, run: Run, key: str | None, request: bytes) -> Answer:
        if key is not None:
            earlier = self.keys.get((run.tenant, key))
            if earlier is not None:
                return [("repeated" if earlier[0] == request else "conflict", earlier[1])]
            self.keys[run.tenant, key] = (request, run.id)
        if (run.tenant, run.id) in self.runs:
            return [("repeated", run.id)]
        run.queued_at = self.beat
        self.runs[run.tenant, run.id] = run
        if run.session is not None:
            self.sessions.setdefault((run.tenant, run.session), None)
        return [("accepted", run.id)]

    def deliver_signal(self, tenant: UUID, run_id: UUID, kind: str, dedupe: str | None) -> Answer:
        run = self.runs.get((tenant, run_id))
        if run is None:
            return [("absent", None)]
        for at, (_, earlier) in enumerate(run.signals, 1):
            if dedupe is not None and earlier == dedupe:
                return [("repeated", at)]
        if run.ended:
            return [("finished", None)]
        run.signals.append((kind, dedupe))
        run.inbox += 1
        run.cancelling = run.cancelling or kind == "cancel"
        if run.state == "parked":
            run.state, run.queued_at = "queued", self.beat
        run.waiting_on, run.wake_at, run.unserved = None, None, False
        return [("delivered", run.inbox)]

    def decide_approval(self, tenant: UUID, task_id: UUID, verdict: str, digest: str, by: str) -> Answer:
        task = self.tasks.get(task_id)
        if task is None or task.tenant != tenant:
            return [("absent", None, None, None, None)]
        known = {"approval": ("approved", "rejected"), "in_doubt": ("done", "not_done", "fail_run")}[task.kind]
        if verdict not in known:
            return [("invalid", task.state, task.by, task.run, None)]
        if task.state != "pending":
            return [("already", task.state, task.by, task.run, None)]
        if task.digest != digest:
            return [("mismatch", task.state, task.by, task.run, None)]
        if task.kind == "approval" and self.runs[tenant, task.run].cancelling:
            return [("cancelling", task.state, task.by, task.run, None)]
        task.state, task.by = verdict, by
        ((_, seq),) = self.deliver_signal(tenant, task.run, "decision", None)
        return [("decided", verdict, by, task.run, seq)]

    def declare_halt(
        self, tenant: UUID, halt: UUID, scope: str, key: str, authority: int, for_s: float | None
    ) -> Answer:
        until = None if for_s is None else self.now + round(for_s / 1800)
        for known in self.in_force():
            same = (known.tenant, known.scope, known.key) == (tenant, scope, key)
            if same and known.is_own == (authority == 1 and scope != "user"):
                known.authority = max(known.authority, authority)
                ends = known.expires_at
                known.expires_at = None if ends is None or until is None else max(ends, until)
                return [(known.id, False)]
        self.halts[halt] = Halt(halt, tenant, scope, key, authority, until)
        return [(halt, True)]

    def lift_halt(self, tenant: UUID, halt: UUID, authority: int) -> Answer:
        known = self.halts.get(halt)
        if known is None or known.tenant != tenant:
            return [("absent",)]
        if known.lifted_by is not None:
            return [("unchanged",)]
        if known.authority > authority:
            return [("weak",)]
        self._end(known, "me")
        return [("lifted",)]

    def expire_halts(self) -> Answer:
        due = [halt for halt in self.in_force() if halt.expires_at is not None and halt.expires_at <= self.now]
        for halt in sorted(due, key=lambda one: (one.tenant, one.id)):
            self.beat += 1
            self._end(halt, "expiry")
        return [(len(due),)]

    def in_force(self) -> list[Halt]:
        """Those that were not lifted, and have not been ended."""
        return [halt for halt in self.halts.values() if halt.lifted_by is None]

    def _end(self, halt: Halt, by: str) -> None:
        halt.lifted_by = by
        for run in self.runs.values():
            if not halt.concerns(run):
                continue
            if run.state == "running":
                run.stale = True
            elif self._is_held_back(run, "halt") and not self._is_halted(run):
                run.state, run.stale = "queued", True
                run.waiting_on, run.wake_at, run.queued_at = None, None, self.beat

    def _is_held_back(self, run: Run, *why: str) -> bool:
        return run.state == "parked" and run.waiting_on in why

    def renew_rights(self, tenant: UUID, run_id: UUID, worker: UUID, epoch: int) -> Answer:
        """Nobody is behind these runs, so nobody is answered; who looks is told of changes that come after."""
        run = self.runs.get((tenant, run_id))
        if run is not None and (run.state, run.worker, run.epoch) == ("running", worker, epoch):
            run.stale = False
        return []

    # --- the append ---

    def append(self, members: Sequence[Member], locked: UUID | None) -> Answer:
        answer: Answer = []
        for number, member in enumerate(members, 1):
            run = self.runs.get((member.tenant, member.run))
            if run is None:
                answer.append((number, "fenced", None, None))
                continue
            verdict = self._judge(run, member, locked)
            answer.append((number, verdict, run.inbox, run.cancelling))
            if verdict == "appended":
                self._append(run, member)
        return answer

    def _judge(self, run: Run, member: Member, locked: UUID | None) -> str:  # noqa: PLR0911 - one for each verdict
        holds = (run.state, run.worker, run.epoch, run.seq, run.head)
        if holds != ("running", member.worker, member.epoch, member.seq, member.head):
            return "fenced"
        if run.id == locked:
            return "busy"
        if member.flags & 1 and (held_back := self._held_back(run, member)) is not None:
            return held_back
        if member.flags & 1 and run.cancelling:
            return "cancelled"
        if member.flags & 1 and run.stale:
            return "stale"
        if member.next is not None and run.inbox != member.folded:
            return "signalled"
        if member.unsure and not self._is_halted(run, member.names):
            return "signalled"
        return "appended"

    def _held_back(self, run: Run, member: Member) -> str | None:
        if self._is_halted(run, member.names):
            return "halted"
        asks = any(halt.tenant == run.tenant and halt.scope in NAMED for halt in self.in_force())
        return "unnamed" if asks and member.names is None else None

    def _is_halted(self, run: Run, names: Sequence[str] | None = None) -> bool:
        return any(
            halt.concerns(run) and (halt.scope not in NAMED or any(map(halt.names, names or ())))
            for halt in self.in_force()
        )

    def _append(self, run: Run, member: Member) -> None:
        run.events += [(event.seq, event.type, event.hash.hex()) for event in member.events]
        run.blobs |= {digest.hex() for digest in member.blobs}
        run.seq, run.head, run.folded = member.events[-1].seq, member.events[-1].hash, member.folded
        run.counts = tuple(a + b for a, b in zip(run.counts, member.increments, strict=True))
        run.rewound = run.rewound and not member.flags & 4
        if member.flags & 2 or member.next is not None:
            run.claims = 0
        for task, kind, digest in member.tasks:
            self.tasks[task] = Task(run.tenant, task, run.id, kind, digest)
        if member.next is not None:
            run.let_go(member.next, member.waiting_on)
            run.wake_at = member.wake_at
        if member.next in FINAL:
            self._settle(run)

    def _settle(self, run: Run) -> None:
        for task in self.tasks.values():
            if task.run == run.id and task.kind == "approval" and task.state == "pending":
                task.state = "void"
        if run.state == "succeeded" and run.session is not None:
            self.sessions[run.tenant, run.session] = run.id

    # --- workers ---

    def register_worker(self, worker: UUID, serves: dict[str, list[str]]) -> Answer:
        self.workers.setdefault(worker, Worker(worker, serves, self.now + LEASE))
        return []

    def is_live(self, worker: UUID | None) -> bool:
        return worker in self.workers and self.workers[worker].lease_until > self.now

    def held_by(self, worker: UUID) -> list[Run]:
        return [run for run in self.runs.values() if run.worker == worker]

    def renew_lease(self, worker: UUID, holding: Sequence[UUID]) -> Answer:
        if not self.is_live(worker):
            return [(False, None, None, None, None, None)]
        self.workers[worker].lease_until = self.now + LEASE
        rows: Answer = [(True, None, None, None, None, None)]
        for run in self.held_by(worker):
            if run.id not in holding or run.inbox > run.folded:
                kind = "attention" if run.id in holding else "stray"
                rows.append((True, kind, run.tenant, run.id, run.inbox, run.cancelling))
        held = {run.id for run in self.held_by(worker)}
        return rows + [(True, "lost", None, run, None, None) for run in holding if run not in held]

    def claim_runs(
        self, worker: UUID, want: int, offers: Sequence[tuple[str, str]], free: int, locked: UUID | None
    ) -> Answer:
        """`free` is the same for every task: how a full task changes the order of the others is not promised."""
        if not self.is_live(worker):
            return []
        left, rows, parked = dict.fromkeys(offers, free), list[tuple[Any, ...]](), True
        while parked and len(rows) < want:
            parked = False
            for run in self._in_turns(offers, want - len(rows)):
                if len(rows) == want or not left[run.task, run.version] or run.id == locked:
                    continue
                if not run.cancelling and self._is_halted(run):
                    run.state, run.waiting_on, run.stale, parked = "parked", "halt", False, True
                    continue
                left[run.task, run.version] -= 1
                run.state, run.worker, run.epoch, run.started = "running", worker, run.epoch + 1, True
                run.claims += 1
                run.stale = False
                stands = (run.epoch, run.seq, run.head, run.inbox, run.folded)
                rows.append((run.tenant, run.id, *stands, run.cancelling, run.claims, run.rewound))
        return rows

    def _in_turns(self, offers: Sequence[tuple[str, str]], want: int) -> list[Run]:
        """Fewest running first, and so on in turns; of one tenant by priority, then age. Of each task not all."""
        waiting = [run for run in self.runs.values() if run.state == "queued" and (run.task, run.version) in offers]
        waiting.sort(key=lambda run: (-run.priority, run.queued_at, run.id))
        lines = dict[tuple[UUID, str, str], list[Run]]()
        for run in waiting:
            lines.setdefault((run.tenant, run.task, run.version), []).append(run)
        most = min(2 * want, max(8, 4 * want // max(len(lines), 1)))
        queued = [run for run in waiting if run in lines[run.tenant, run.task, run.version][:most]]
        turns = {
            tenant: sum(run.tenant == tenant and run.state == "running" for run in self.runs.values())
            for tenant, _ in self.runs
        }
        ranked = list[tuple[int, int, UUID, Run]]()
        for run in queued:
            turns[run.tenant] += 1
            ranked.append((turns[run.tenant], run.queued_at, run.id, run))
        return [run for *_, run in sorted(ranked, key=lambda row: row[:3])]

    def release_runs(self, worker: UUID, runs: Iterable[UUID], *, failed: bool) -> Answer:
        released = [run for run in self.held_by(worker) if run.id in set(runs)]
        for run in released:
            hopeless = failed and run.claims >= HOPELESS and not run.cancelling
            run.let_go("parked" if hopeless else "queued", "quarantine" if hopeless else None)
            run.claims -= not failed and run.claims > 0
        return [(len(released),)]

    def leave(self, worker: UUID) -> Answer:
        answer = self.release_runs(worker, [run.id for run in self.held_by(worker)], failed=False)
        self.workers.pop(worker, None)
        return answer

    # --- the tick ---

    def tick(self, locked: UUID | None) -> Answer:
        rewound = self._notice_failover()
        runs = [run for run in self.runs.values() if run.id != locked]
        rescued, quarantined = self._rescue(runs)
        woken = [run for run in runs if run.state == "parked" and run.wake_at is not None and run.wake_at < self.now]
        for run in woken:
            run.state, run.waiting_on, run.wake_at, run.unserved = "queued", None, None, False
            run.queued_at = self.beat
        freed = [run for run in runs if run.stale and self._is_held_back(run, "halt", "rights")]
        for run in freed:
            run.state, run.waiting_on, run.wake_at, run.queued_at = "queued", None, None, self.beat
        parked, unparked = self._by_code(runs)
        due = sum(halt.expires_at is not None and halt.expires_at <= self.now for halt in self.in_force())
        return [(rescued, quarantined, len(woken) + len(freed), parked, unparked, rewound, due)]

    def _notice_failover(self) -> int:
        unfinished = [run for run in self.runs.values() if not run.ended]
        if not self.failed_over:
            return 0
        self.failed_over = False
        for run in unfinished:
            run.rewound = True
        return len(unfinished)

    def _rescue(self, runs: list[Run]) -> tuple[int, int]:
        rescued = quarantined = 0
        for run in runs:
            if run.worker is not None and not self.is_live(run.worker):
                hopeless = run.claims >= HOPELESS and not run.cancelling
                run.let_go("parked" if hopeless else "queued", "quarantine" if hopeless else None)
                rescued, quarantined = rescued + (not hopeless), quarantined + hopeless
        for worker in [w.id for w in self.workers.values() if w.lease_until < self.now and not self.held_by(w.id)]:
            del self.workers[worker]
        return rescued, quarantined

    def _by_code(self, runs: list[Run]) -> tuple[int, int]:
        served: dict[str, set[str]] = {}
        for worker in self.workers.values():
            if self.is_live(worker.id):
                for task, versions in worker.serves.items():
                    served.setdefault(task, set()).update(versions)
        stuck = [
            run for run in runs if run.state == "queued" and run.version not in served.get(run.task, {run.version})
        ]
        for run in stuck:
            run.state, run.waiting_on, run.unserved = "parked", "code", True
        freed = [run for run in runs if run.unserved and run.version in served.get(run.task, ())]
        for run in freed:
            run.state, run.waiting_on, run.unserved = "queued", None, False
        return len(stuck), len(freed)
