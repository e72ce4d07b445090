"""Where the bench runs: an embedded PostgreSQL of its own, and workers and services on it, in this process."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from holdfast.app import App
from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.embedded import until_stopped
from holdfast.engine.execution import Ended, Execution
from holdfast.engine.gear import Gear
from holdfast.service.services import Services
from holdfast.service.start_run import start_run
from holdfast.settings import Settings
from holdfast.store.hints import Hints
from holdfast.store.journal import JournalWriter
from holdfast.store.live import LivePublisher
from holdfast.store.reader import RunReader
from holdfast.store.vault import Vault
from holdfast.task import Task
from holdfast.wiring import Installation
from holdfast.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from holdfast.store.claims import Claimed
    from holdfast.store.pool import Database

WHO = Who(DEFAULT_TENANT, str(LOCAL_PRINCIPAL), rights_of([Role.ADMIN]))
FINISHED_S = 300.0


@dataclass(frozen=True, slots=True)
class Place:
    """An installation to measure on."""

    installation: Installation
    data_dir: Path
    """Of the installation; the server's own is `server_dir`."""

    @property
    def server_dir(self) -> Path:
        return next((self.data_dir / "pg").rglob("postmaster.pid")).parent

    @property
    def admin_url(self) -> str:
        return self.installation.admin_url

    def settings(self, **more: Any) -> Settings:
        return self.installation.settings.model_copy(update=more)

    @asynccontextmanager
    async def services(self, app: App) -> AsyncGenerator[Services, None]:
        """What starts runs."""
        async with self.installation.api(app) as services:
            yield services

    @asynccontextmanager
    async def gear(self, probe: Callable[[str], None] | None = None) -> AsyncGenerator[Gear, None]:
        """What executions share; `probe` is told of each append."""
        async with AsyncExitStack() as stack:
            db: Database = await stack.enter_async_context(self.installation.database("worker"))
            hints = await stack.enter_async_context(Hints(db))
            writer = await stack.enter_async_context(JournalWriter(db, probe=probe))
            live = LivePublisher(db, hints)
            stack.push_async_callback(live.aclose)
            vault = Vault(db, self.installation.wrapping)
            yield Gear(db=db, writer=writer, reader=RunReader(db), vault=vault, hints=hints, live=live)

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """One statement as the superuser."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def clear(self) -> None:
        """Forget every run: what is measured next starts on small tables."""
        self.execute(
            "truncate holdfast.runs, holdfast.events, holdfast.blobs, holdfast.signals, holdfast.approvals, "
            "holdfast.idempotency_keys, holdfast.sessions, holdfast.live"
        )


@asynccontextmanager
async def a_place() -> AsyncGenerator[Place, None]:
    """A new installation, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder)
        path.chmod(0o755)  # noqa: ASYNC240  before anything runs
        async with Installation.open(Settings(data_dir=path, log_level="warning")) as installation:
            yield Place(installation, path)
        await asyncio.to_thread(until_stopped, path / "pg")  # what the server still writes would keep the folder


async def queue_runs(services: Services, task: str, count: int, input_: Any = "hi") -> list[UUID]:
    """Start runs and return their ids."""
    return [(await start_run(services, WHO, task, input_)).id for _ in range(count)]


class Counted(Execution):
    """An execution that says when it has ended."""

    def __init__(self, task: Task, claimed: Claimed, gear: Gear, ended: Callable[[UUID, Ended], None]) -> None:
        super().__init__(task, claimed, gear)
        self._said, self._id = ended, claimed.run

    async def run(self) -> Ended:
        how = await super().run()
        self._said(self._id, how)
        return how


async def work_off(app: App, gear: Gear, settings: Settings, runs: Sequence[UUID]) -> None:
    """Let a worker in this process and loop carry these queued runs until each has ended or parked."""
    left, done = set(runs), asyncio.Event()

    def ended(run: UUID, how: Ended) -> None:
        assert how in {Ended.FINISHED, Ended.PARKED}, how
        left.discard(run)
        if not left:
            done.set()

    worker = Worker(app, gear, settings, execute=lambda task, claimed: Counted(task, claimed, gear, ended))
    working = asyncio.create_task(worker.run())
    async with asyncio.timeout(FINISHED_S):
        await done.wait()
    worker.stop(0)
    await working
