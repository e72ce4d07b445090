"""Workers that die between a policy's question and the bank's payment, while people answer and the policy changes."""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from bank import Bank
from bank_app import OWN_POINTS, TASKS, app_of
from bank_judge import Judge
from bank_people import People
from bank_plot import Plot, Run, plot
from bank_policy import TERMS, put_in_force
from crash_scene import A_LONG_LEASE, FINAL, Onlooker, Superuser
from nursery import Nursery, Worker

from holdfast.domain.errors import AlreadyFinished
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.service.cancel_run import cancel_run
from holdfast.service.services import Services
from holdfast.service.start_run import start_run
from holdfast.store.hashing import StoredEvent
from holdfast.store.signals import deliver_signal
from holdfast.testing import POINTS

WORKERS, IN_FLIGHT, SLOTS, PATIENCE_S = 4, 12, 3, 90
PLACES = (*POINTS, *OWN_POINTS)
ANY_MOMENT = "any moment"
_HELD = """
select e.run, e.type, r.worker from holdfast.runs r join holdfast.workers w on w.id = r.worker
join lateral (select run, type from holdfast.events where run = r.id order by seq desc limit 1) e on true
where w.pid = %s
"""
_CUT = """
select pg_terminate_backend(pid) from (
  select pid from pg_stat_activity
  where datname = current_database() and usename = 'holdfast_api' and query not ilike 'listen%%'
  order by state = 'idle', random() limit 1
) one
"""
_JOURNALS = (
    "select run, seq, type, at, convert_to(body, 'UTF8'), hash from holdfast.events where run = any(%s) order by seq"
)


@dataclass
class Kills:
    """One campaign."""

    folder: Path
    url: str
    nursery: Nursery
    services: Services
    connection: Superuser
    people: People
    judge: Judge
    rng: random.Random
    runs: dict[UUID, Run] = field(default_factory=dict)
    """Those under way."""
    workers: dict[int, tuple[Worker, str]] = field(default_factory=dict)
    """Those alive, by pid, and where each is to die."""
    at_point: Counter[str] = field(default_factory=Counter)
    after_event: Counter[str] = field(default_factory=Counter)
    """The last event in the journal of each run that a killed worker held."""
    changes: int = 0
    cut: int = 0
    """Connections of whoever decides that were cut, whatever they were about to say or hear."""
    _tags: Any = field(default_factory=lambda: itertools.count(1))
    _deck: list[str] = field(default_factory=list)

    @property
    def bank(self) -> Bank:
        return self.judge.bank

    @property
    def total(self) -> int:
        return self.at_point.total()

    async def rage(self, kills: int) -> None:
        """Kill so many times, then let everything end in peace."""
        self._put_in_force("usual")
        deadline, before = time.monotonic() + PATIENCE_S, -1
        while self.total < kills:
            if self.total != before:
                deadline, before = time.monotonic() + PATIENCE_S, self.total
            assert time.monotonic() < deadline, f"nothing dies any more\n{self._story()}"
            await self._turn(raging=True)
            if self.total // 100 > max(before, 0) // 100:
                print(f"  kills {self.total}, runs {self.judge.count.runs.total()}", flush=True)
        for worker, _ in self.workers.values():
            await worker.kill()
        await self.end_in_peace()

    async def end_in_peace(self) -> None:
        """Let every run under way end, with nobody dying."""
        self._put_in_force("usual")
        deadline = time.monotonic() + PATIENCE_S
        while self.runs:
            assert time.monotonic() < deadline, f"{len(self.runs)} runs do not end\n{self._story()}"
            before, _ = len(self.runs), await self._turn(raging=False)
            if len(self.runs) < before:
                deadline = time.monotonic() + PATIENCE_S
        await self.stop()

    async def start(self, made: Plot) -> Run:
        """Start a run for Ann."""
        view = await start_run(self.services, self.people.ann, made.task, made.opening)
        run = self.runs[view.id] = Run(view.id, made)
        self.judge.onlooker.look([view.id])
        return run

    async def stop(self) -> None:
        for worker, _ in self.workers.values():
            await worker.kill()

    async def _turn(self, *, raging: bool) -> None:
        self._bury()
        await self._fill(raging=raging)
        await self._release_quarantine()
        answering = asyncio.create_task(self.people.attend(self.runs))
        if raging:
            await self._cut_the_api_off()
        await answering
        if raging:
            await self._something_changes()
            await self._kill_at_any_moment()
        self.judge.onlooker.look(())
        await self._judge_ended()

    async def _fill(self, *, raging: bool) -> None:
        while len(self.workers) < (WORKERS if raging else 2):
            place = self._draw() if raging else ""
            crash = f"{place}:{self.rng.randint(1, 4)}" if place in PLACES else ""
            settings = A_LONG_LEASE | {"slots": SLOTS, "database_url": self.url, "key_file": self.folder / "key"}
            worker = await self.nursery.worker([*TASKS], settings, crash=crash)
            self.workers[worker.pid] = (worker, place)
        while raging and len(self.runs) < IN_FLIGHT:
            await self.start(plot(self.rng, f"t{next(self._tags):06}"))

    def _draw(self) -> str:
        """Each place as often as any other; moments of no name in between."""
        if not self._deck:
            self._deck = [*PLACES, *[ANY_MOMENT] * 3]
            self.rng.shuffle(self._deck)
        return self._deck.pop()

    def _bury(self) -> None:
        for pid, (worker, place) in [*self.workers.items()]:
            if worker.is_alive:
                continue
            del self.workers[pid]
            # A worker that ends otherwise than by the kill is a fault of its own.
            assert worker.ended.result() == signal.SIGKILL, worker.text()[-4000:]
            held = self.connection.execute(_HELD, [pid])
            self.at_point[place] += 1
            self.after_event.update(type_ for _, type_, _ in held)
            self.connection.execute(
                "update holdfast.workers set lease_until = holdfast.now() - interval '1 second' where pid = %s", [pid]
            )

    async def _kill_at_any_moment(self) -> None:
        for worker, place in self.workers.values():
            now = place == ANY_MOMENT and worker.is_alive and self.rng.random() < 0.5
            if now and self.connection.execute(_HELD, [worker.pid]):
                await worker.kill()

    async def _cut_the_api_off(self) -> None:
        """While people answer: before they are heard, or before they hear that they were."""
        if self.rng.random() < 0.15:
            for _ in range(self.rng.randint(0, 40)):
                await asyncio.sleep(0)
            self.cut += len(self.connection.execute(_CUT))

    async def _something_changes(self) -> None:
        """The policy, somebody's role, or a run that nobody wants any more."""
        if self.rng.random() < 0.03:
            self._put_in_force(self.rng.choice([*["usual"] * 4, *["strict"] * 2, "lax", "closed"]))
        if self.rng.random() < 0.03:
            await self.people.one_loses_the_role()
        for run in [run for run in self.runs.values() if run.plot.is_cancelled and self.rng.random() < 0.05]:
            try:
                await cancel_run(self.services, self.people.ann, run.id)
            except AlreadyFinished:
                continue

    def _put_in_force(self, terms: str) -> None:
        put_in_force(terms, self.folder / "policy.cedar")
        self.changes += 1

    async def _release_quarantine(self) -> None:
        for (run,) in self.connection.execute(
            "select id from holdfast.runs where state = 'parked' and waiting_on = 'quarantine'"
        ):
            await deliver_signal(self.services.db, DEFAULT_TENANT, run, "wake", "{}", by="person")
            self.services.hints.notify("q")

    async def _judge_ended(self) -> None:
        for row, journal in ended(self.connection, [*self.runs]):
            await self.judge.look(self.runs.pop(row["id"]), row, journal)
            self.judge.onlooker.forget(row["id"])

    def _story(self) -> str:
        rows = self.connection.dicts(
            "select id, task, state, waiting_on, epoch, seq, claims, worker from holdfast.runs where id = any(%s)",
            [[*self.runs]],
        )
        tasks = self.connection.dicts(
            "select run, kind, state, tool, ask, round, voters, asked_at from holdfast.approvals where run = any(%s)",
            [[*self.runs]],
        )
        logs = [f"{place} {worker.pid}:\n{worker.text()[-1500:]}" for worker, place in self.workers.values()]
        return "\n".join([*map(str, rows), *map(str, tasks), *logs])

    def told(self) -> str:
        """The counts."""
        count = self.judge.count
        calls, payments = self.bank.totals()
        return f"""\
  kills at: {_sorted(self.at_point)}
  with journals that ended in: {_sorted(self.after_event)}
  the policy changed {self.changes} times, a role {len(self.people.absences)} times, the API was cut off {self.cut}
  runs: {_sorted(count.runs)}
  approvals asked {count.asked}: {_sorted(count.verdicts)}; denied {count.denied}
  the bank: {calls} calls, {payments} payments, {count.retries} calls again with their key
  kills {self.total}, runs {count.runs.total()}, effects {count.effects}, in doubt {count.in_doubt}, \
lost {count.lost}, reused {count.reused}, wrong {len(count.wrong)}"""


def ended(connection: Superuser, runs: list[UUID]) -> list[tuple[dict[str, Any], list[StoredEvent]]]:
    """Those of these runs that have ended, each with its journal."""
    rows = connection.dicts("select * from holdfast.runs where id = any(%s) and state = any(%s)", [runs, [*FINAL]])
    journals: dict[UUID, list[StoredEvent]] = {row["id"]: [] for row in rows}
    for run, *rest in connection.execute(_JOURNALS, [[*journals]]) if rows else ():
        journals[run].append(StoredEvent(DEFAULT_TENANT, run, *rest))
    return [(row, journals[row["id"]]) for row in rows]


def _sorted(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counted.most_common())


async def prepared(
    folder: Path, database: Any, nursery: Nursery, services: Services, onlooker: Onlooker, rng: random.Random
) -> Kills:
    """A bank that opens its books, its people, and nobody at work yet."""
    bank, connection = Bank(folder / "bank"), onlooker.connection
    bank.found()
    terms = {}
    for name, found in TERMS.items():
        put_in_force(name, folder / "policy.cedar")
        policy = app_of([*TASKS], policy=folder / "policy.cedar").load_policy()
        assert policy is not None
        terms[policy.digest] = found
    people = await People.gathered(services, connection, bank, rng)
    judge = Judge(services, connection, onlooker, bank, people, terms)
    return Kills(folder, database.worker_url, nursery, services, connection, people, judge, rng)
