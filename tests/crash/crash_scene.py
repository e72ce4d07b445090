"""Where crashes happen: a database, forked workers, a scripted model, a ledger, a person who decides, an onlooker."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from crash_app import result_of
from crash_model import Model
from nursery import Nursery, Worker
from psycopg.rows import dict_row, tuple_row

from holdfast.domain.errors import AlreadyDecided
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.service.answer_question import answer_question
from holdfast.service.approval_shapes import ApprovalView
from holdfast.service.decide_escalation import decide
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.services import LOCAL, Services
from holdfast.service.start_run import start_run
from holdfast.store.signals import deliver_signal

PATIENCE_S = 60
LANES = 8
TOLD = {
    "events": "seq, type, body",
    "signals": "seq, kind, by, body",
    "approvals": "kind, state, tool, key, decided_by",
}
FINAL = ("succeeded", "failed", "cancelled")
A_LONG_LEASE = {"lease_s": 3600, "tick_s": 0.1, "poll_s": 0.3, "log_format": "json", "log_level": "info"}
_tags = itertools.count(1)


@dataclass(frozen=True)
class Run:
    """A run that was started, and how the outside world knows it."""

    id: UUID
    scenario: str
    tag: str


class Ledger:
    """What arrived in the outside world."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._lines: dict[str, list[dict[str, Any]]] = {}

    def of(self, run: UUID) -> list[dict[str, Any]]:
        """The arrivals of a run, in order."""
        if self._path.exists():
            with self._path.open("rb") as ledger:
                ledger.seek(self._read)
                whole = ledger.read().rpartition(b"\n")
            self._read += len(whole[0]) + len(whole[1])
            for line in map(json.loads, whole[0].splitlines()):
                self._lines.setdefault(line["run"], []).append(line)
        return self._lines.get(str(run), [])


class Superuser:
    """A connection that sees everything, made anew when the server went away under it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def execute(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that a statement answers with."""
        return self._repeated(tuple_row, text, values)

    def dicts(self, text: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The same with columns by name."""
        return self._repeated(dict_row, text, values)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _repeated(self, factory: Any, text: str, values: Sequence[Any]) -> list[Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._url, autocommit=True)
                cursor = self._connection.cursor(row_factory=factory)
                cursor.execute(text, values)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self.close()
                self._connection = None
                assert time.monotonic() < deadline
                time.sleep(0.05)


class Onlooker:
    """Reads every event of the runs under way as soon as it can, and remembers its hash: acknowledged, for good."""

    def __init__(self, connection: Superuser) -> None:
        self.connection = connection
        self.seen: dict[UUID, list[bytes]] = {}

    def look(self, runs: Iterable[UUID]) -> None:
        for run in runs:
            self.seen.setdefault(run, [])
        known = list(self.seen)
        rows = self.connection.execute(
            "select e.run, e.seq, e.hash from unnest(%s::uuid[], %s::bigint[]) as k(run, seq) "
            "join holdfast.events e on e.run = k.run and e.seq > k.seq order by e.run, e.seq",
            [known, [len(self.seen[run]) for run in known]],
        )
        for run, seq, hash_ in rows:
            assert seq == len(self.seen[run]) + 1, f"run {run} has a gap before event {seq}"
            self.seen[run].append(hash_)

    def forget(self, run: UUID) -> None:
        self.seen.pop(run, None)


@dataclass
class Scene:
    """One test's world."""

    folder: Path
    url: str
    nursery: Nursery
    model: Model
    services: Services
    connection: Superuser
    ledger: Ledger
    onlooker: Onlooker
    workers: list[Worker] = field(default_factory=list)
    on_doubt: Callable[[ApprovalView], bool] = lambda _: True
    """Whether the person looks after this effect in doubt now."""

    async def worker(
        self, *tasks: str, version: str = "1", crash: str = "", passed: Path | None = None, **settings: Any
    ) -> Worker:
        """Fork a worker for these tasks."""
        given = A_LONG_LEASE | {"database_url": self.url, "key_file": self.folder / "key"} | settings
        worker = await self.nursery.worker(tasks, given, version=version, crash=crash, passed=passed)
        self.workers.append(worker)
        return worker

    async def start(self, task: str) -> Run:
        """Start a run of a task; the text it opens with tells it from all others."""
        scenario, tag = task.partition(".")[0], f"tag{next(_tags):06}"
        view = await start_run(self.services, LOCAL, task, f"{scenario} {tag}")
        self.onlooker.look([view.id])
        return Run(view.id, scenario, tag)

    def rows(self, runs: Sequence[Run]) -> dict[UUID, dict[str, Any]]:
        """The rows of runs."""
        found = self.connection.dicts("select * from holdfast.runs where id = any(%s)", [[run.id for run in runs]])
        return {row["id"]: row for row in found}

    def rows_of(self, runs: Sequence[Run]) -> list[dict[str, Any]]:
        """The rows of runs, in their order."""
        found = self.rows(runs)
        return [found[run.id] for run in runs]

    def row(self, run: Run) -> dict[str, Any]:
        return self.rows([run])[run.id]

    async def until(
        self, met: Callable[[], Any], what: str, *, attend: bool = True, patience_s: float = PATIENCE_S
    ) -> Any:
        """Wait for a condition, with the person and the onlooker at work; its first true value."""
        deadline = time.monotonic() + patience_s
        while not (value := met()):
            assert time.monotonic() < deadline, f"never: {what}\n{self.story()}"
            self.onlooker.look(())
            if attend:
                await self.attend()
            await asyncio.sleep(0.03)
        return value

    async def until_final(self, runs: Sequence[Run]) -> None:
        """Wait until all of them have ended."""
        await self.until(
            lambda: all(row["state"] in FINAL for row in self.rows(runs).values()),
            f"the end of {len(runs)} runs",
        )

    async def until_row(self, run: Run, *, attend: bool = True, **values: Any) -> dict[str, Any]:
        """The run's row once it has these values."""

        def matching() -> dict[str, Any] | None:
            row = self.row(run)
            return row if all(row[name] == value for name, value in values.items()) else None

        return await self.until(matching, f"{values} of {run}", attend=attend)

    async def attend(self) -> None:
        """The person: approves and answers everything, and says of effects in doubt what the ledger says."""
        await self._release_quarantine()
        for task in (await list_tasks_to_decide(self.services, LOCAL, limit=200)).items:
            if task.kind == "in_doubt" and not self.on_doubt(task):
                continue
            with suppress(AlreadyDecided):  # the run was cancelled, or a late report was first
                await self._decide(task)

    async def _decide(self, task: ApprovalView) -> None:
        if task.kind == "approval":
            await decide(self.services, LOCAL, task.id, "approved", digest=task.digest)
        elif task.kind == "question":
            answer = result_of(task.tool, task.args.value["n"])
            await answer_question(self.services, LOCAL, task.id, "answered", digest=task.digest, answer=answer)
        elif any(line["key"] == task.key for line in self.ledger.of(task.run)):
            result = result_of(task.tool, task.args.value["n"])
            await decide(self.services, LOCAL, task.id, "done", digest=task.digest, result=result)
        else:
            await decide(self.services, LOCAL, task.id, "not_done", digest=task.digest)

    async def _release_quarantine(self) -> None:
        """A run whose workers died three times on end waits for a person too: let it try again."""
        for (run,) in self.connection.execute(
            "select id from holdfast.runs where state = 'parked' and waiting_on = 'quarantine'"
        ):
            await self.wake(run)

    async def wake(self, run: UUID) -> None:
        """Wake a parked run."""
        await deliver_signal(self.services.db, DEFAULT_TENANT, run, "wake", "{}", by="person")
        self.services.hints.notify("q")

    def expire(self, workers: Iterable[Worker]) -> None:
        """Their leases have run out, by the database clock."""
        self.connection.execute(
            "update holdfast.workers set lease_until = holdfast.now() - interval '1 second' where pid = any(%s)",
            [[worker.pid for worker in workers]],
        )

    def open_gate(self) -> None:
        (self.folder / "go").touch()

    def story(self) -> str:
        """What is to be read when a test fails."""
        runs = self.connection.execute(
            "select id, task, state, waiting_on, epoch, seq, claims, worker from holdfast.runs "
            "where state not in ('succeeded', 'cancelled') limit 2"
        )
        stuck = [
            str(row)[:200]
            for run, *_ in runs
            for table, columns in TOLD.items()
            for row in self.connection.execute(f"select {columns} from holdfast.{table} where run = %s", [run])
        ]
        logs = "\n".join(f"{worker.pid} ({worker.log_path}): {worker.text()[-2000:]}" for worker in self.workers[-6:])
        return "\n".join([*map(str, runs), *stuck, logs])
