"""A laboratory for the seam: real PostgreSQL, real agents, and a worker that can be made to die at any point."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg

from holdfast.app import App
from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.domain.principal import Who
from holdfast.domain.stored import load
from holdfast.engine.execution import Ended, Execution
from holdfast.engine.gear import Gear, no_probe
from holdfast.engine.governor import Governor
from holdfast.engine.halts import Halts
from holdfast.guards.prices import PriceBook
from holdfast.service.services import Services
from holdfast.service.start_run import start_run
from holdfast.store.claims import Claimed, claim_runs
from holdfast.store.hints import Hints
from holdfast.store.journal import JournalWriter
from holdfast.store.leases import register_worker
from holdfast.store.live import LivePublisher
from holdfast.store.pool import Database
from holdfast.store.reader import RunReader
from holdfast.store.vault import Vault, WrappingKey
from support.credentials import admin
from support.processes import PATIENCE_S

WHO = admin(DEFAULT_TENANT, str(LOCAL_PRINCIPAL))


class Died(BaseException):
    """The worker died here: nothing it had in hand happens any more."""


def die_at(point: str, nth: int = 1) -> Callable[[str], None]:
    """A probe that dies the nth time a point is passed."""
    left = nth

    def probe(passed: str) -> None:
        nonlocal left
        if passed == point:
            left -= 1
            if left == 0:
                raise Died(point)

    return probe


@dataclass
class Lease:
    """A lease that runs out when a test says so."""

    expired: bool = False
    halts: Halts = field(default_factory=lambda: Halts(fresh_until=math.inf))


@dataclass
class Lab:
    """One database, one app, any number of workers one after another."""

    app: App
    worker_db: Database
    api_db: Database
    vault: Vault
    hints: Hints
    admin_url: str
    wrapping: WrappingKey
    run: UUID = field(default_factory=uuid4)
    points: list[str] = field(default_factory=list)
    writer_deadline_s: float = 30.0
    governor: Governor = field(default_factory=Governor)
    prices: PriceBook = field(default_factory=PriceBook)
    lease: Lease = field(default_factory=Lease)
    """That of the next worker."""
    monotonic: Callable[[], float] = time.monotonic
    later_s: float = 0.0
    """How much later it is for the next worker."""

    @property
    def services(self) -> Services:
        return Services(
            db=self.api_db,
            vault=Vault(self.api_db, self.wrapping),
            reader=RunReader(self.api_db),
            hints=self.hints,
            app=self.app,
        )

    async def start(self, task: str = "task", input: Any = "hi", who: Who = WHO, **more: Any) -> UUID:
        view = await start_run(self.services, who, task, input, **more)
        self.run = view.id
        return view.id

    async def work(self, *, probe: Callable[[str], None] = no_probe, app: App | None = None) -> Ended | Died:
        """Claim the run as a new worker and carry it as far as it goes."""
        async with self.worker(probe=probe, app=app) as execution:
            try:
                return await execution.run()
            except Died as died:
                return died

    async def _claimed(self, worker: UUID, tasks: dict[str, list[str]]) -> Claimed:
        versions = [served[0] for served in tasks.values()]
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await claim_runs(self.worker_db, worker, 1, list(tasks), versions, [1] * len(tasks))
                if found:
                    return found[0]
                await asyncio.sleep(0.01)  # the append of the worker before it has the row, and will be refused

    @asynccontextmanager
    async def worker(
        self, *, probe: Callable[[str], None] = no_probe, app: App | None = None
    ) -> AsyncIterator[Execution]:
        """A new worker that has claimed the run. It leaves no trace when it goes, as one killed does."""
        app = app or self.app

        def noting(point: str) -> None:
            self.points.append(point)
            probe(point)

        worker = uuid4()
        tasks = {name: [task.version] for name, task in app.tasks.items()}
        await register_worker(self.worker_db, worker, host="lab", pid=1, serves=tasks, lease_s=60)
        self.let_go()
        claimed = await self._claimed(worker, tasks)
        assert claimed.run == self.run
        writer = JournalWriter(self.worker_db, deadline_s=self.writer_deadline_s, probe=probe)
        await writer.start()
        live = LivePublisher(self.worker_db, self.hints)
        gear = Gear(
            db=self.worker_db,
            writer=writer,
            reader=RunReader(self.worker_db),
            vault=self.vault,
            hints=self.hints,
            live=live,
            governor=self.governor,
            prices=self.prices,
            probe=noting,
            monotonic=self.monotonic,
            now=lambda: datetime.now(UTC) + timedelta(seconds=self.later_s),
        )
        try:
            self.lease = Lease()
            yield Execution(app[claimed.task], claimed, gear, self.lease)
        finally:
            await gear.late.aclose()
            await live.aclose()
            await writer.aclose()

    async def work_again(self) -> list[Any]:
        """Claim what there is to claim; what was."""
        worker = uuid4()
        tasks = {name: [task.version] for name, task in self.app.tasks.items()}
        await register_worker(self.worker_db, worker, host="lab", pid=1, serves=tasks, lease_s=60)
        return await claim_runs(
            self.worker_db, worker, 1, list(tasks), [v[0] for v in tasks.values()], [1] * len(tasks)
        )

    async def expect(self, state: str) -> None:
        """The run is in this state; if it failed instead, say how."""
        if self.state == "failed" != state:
            raise AssertionError(await self.failure())
        assert self.state == state

    def let_go(self) -> None:
        """What rescue does when a worker's lease has run out."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(
                "update holdfast.runs set state = 'queued', worker = null where id = %s and state = 'running'",
                [self.run],
            )

    def row(self) -> dict[str, Any]:
        with psycopg.connect(self.admin_url, row_factory=psycopg.rows.dict_row) as connection:
            found = connection.execute("select * from holdfast.runs where id = %s", [self.run]).fetchone()
            assert found is not None
            return found

    @property
    def state(self) -> str:
        return self.row()["state"]

    async def events(self) -> list[ev.AnyEvent]:
        stored = await RunReader(self.worker_db).journal(DEFAULT_TENANT, self.run)
        return [load(event.type, event.body) for event in stored]

    async def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in await self.events() if isinstance(event, kind)]

    async def content(self, ref: str) -> Any:
        key = await self.vault.subject(DEFAULT_TENANT, self.row()["subject"])
        return orjson.loads((await RunReader(self.worker_db).content_of(DEFAULT_TENANT, self.run, [ref], key))[ref])

    async def output(self) -> Any:
        [succeeded] = await self.of(ev.RunSucceeded)
        return await self.content(succeeded.output)

    async def failure(self) -> str:
        [failed] = await self.of(ev.RunFailed)
        return f"{failed.error}: {await self.content(failed.message)} at {failed.place}"


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another task makes true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
