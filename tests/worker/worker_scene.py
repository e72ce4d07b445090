"""Worker processes on a real database, and what they did."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from holdfast.domain.events import RunAccepted
from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.domain.stored import dump
from holdfast.service.services import Services
from holdfast.settings import PREFIX
from holdfast.store.hashing import GENESIS, chain_prefix, event_hash, microseconds
from holdfast.store.runs import accept_run
from support import forked

APP = Path(__file__).parent / "worker_app.py"
SOMEBODY = str(LOCAL_PRINCIPAL)
PATIENCE_S = 30

SERVE = """
import sys
from holdfast.settings import Settings
from holdfast.cli.worker_process import serve
serve(Settings.load(), sys.argv[1])
"""


def until(met: Callable[[], Any], what: str, seen: Callable[[], str] = str) -> Any:
    """Wait for a condition with a deadline; its first true value. `seen` tells what was there instead."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := met()):
        assert time.monotonic() < deadline, f"never: {what}\n{seen()}"
        time.sleep(0.02)
    return value


class WorkerProcess:
    """A worker process and its log."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], app: str) -> None:
        self.name, self._log = name, folder / f"{name}.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-c", SERVE, app]
            self.process = forked.start(command, env=environment, stderr=log, stdout=log, cwd=folder)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def wait_log(self, event: str, times: int = 1, **values: Any) -> dict[str, Any]:
        """The entry of that name, the `times`-th that holds these values."""

        def those() -> list[dict[str, Any]]:
            return [entry for entry in self.log(event) if values.items() <= entry.items()]

        def found() -> list[dict[str, Any]]:
            assert self.process.poll() is None or len(those()) >= times, self._log.read_text()
            return those()[times - 1 :]

        return until(found, f"'{event}' in the log of {self.name}", self.text)[0]

    def started(self) -> "WorkerProcess":
        self.wait_log("worker.started")
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)

    def text(self) -> str:
        return self._log.read_text()


@dataclass
class Scene:
    """A database, worker processes on it, and the files through which their tools tell what they do."""

    folder: Path
    database: Any
    workers: list[WorkerProcess]
    services: Services
    connection: psycopg.Connection[dict[str, Any]]

    def worker(self, name: str, **settings: object) -> WorkerProcess:
        """Start a worker process and wait until it is registered."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {
            "HOLDFAST_TEST_DIR": str(self.folder),
            "HOLDFAST_DATABASE_URL": self.database.worker_url,
            "HOLDFAST_KEY_FILE": str(self.folder / "key"),
            "HOLDFAST_LOG_FORMAT": "json",
            "HOLDFAST_TICK_S": "0.2",
            **{f"{PREFIX}{field.upper()}": str(value) for field, value in settings.items()},
        }
        process = WorkerProcess(name, self.folder, environment, f"{APP}:app")
        self.workers.append(process)
        return process.started()

    async def start(self, task: str, version: str = "1") -> UUID:
        """Accept a run, as the use case does but of any version."""
        services = self.services
        key = await services.vault.subject(DEFAULT_TENANT, SOMEBODY)
        given = key.seal(b'"go on"')
        run, at = services.new_id(), services.now()
        accepted = RunAccepted(task=task, task_version=version, subject=SOMEBODY, principal=SOMEBODY, input=given.ref)
        body = dump(accepted)
        first = event_hash(chain_prefix(DEFAULT_TENANT, run), 1, b"run_accepted", microseconds(at), body, GENESIS)
        await accept_run(
            services.db,
            DEFAULT_TENANT,
            run,
            task=task,
            task_version=version,
            principal=SOMEBODY,
            subject=SOMEBODY,
            at=at,
            body=body.decode(),
            hash=first,
            blobs={given.digest: given.body},
        )
        services.hints.notify("q")
        return run

    def restart_database(self) -> None:
        """Kill the server, which is this test's own, and wait until it is back."""
        self.until_database_is_back(self.database.kill(signal.SIGKILL))

    def until_database_is_back(self, killed: int) -> None:
        """Once another server runs than the one that was killed: look at it on a connection of its own."""
        until(lambda: self.database.is_back(killed), "the server is back")
        self.connection.close()
        self.connection = psycopg.connect(self.database.admin_url, autocommit=True, row_factory=dict_row)

    def row(self, run: UUID) -> dict[str, Any]:
        found = self.connection.execute("select * from holdfast.runs where id = %s", [run]).fetchone()
        assert found is not None
        return found

    def wait_row(self, run: UUID, **fields: Any) -> dict[str, Any]:
        """The run's row once it has these values."""

        def matching() -> dict[str, Any] | None:
            row = self.row(run)
            return row if all(row[name] == value for name, value in fields.items()) else None

        return until(matching, str(fields), lambda: f"{self.row(run)}\n{self.logs()}")

    def events(self, run: UUID) -> list[str]:
        rows = self.connection.execute("select type from holdfast.events where run = %s order by seq", [run]).fetchall()
        return [row["type"] for row in rows]

    def ledger(self) -> list[list[str]]:
        path = self.folder / "ledger"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def did(self, what: str, run: UUID) -> list[int]:
        """The processes that did it to the run, once for each time."""
        return [int(pid) for done, of, pid in self.ledger() if done == what and of == str(run)]

    def wait_did(self, what: str, run: UUID) -> list[int]:
        return until(lambda: self.did(what, run), what, self.logs)

    def logs(self) -> str:
        return "\n".join(f"{worker.name}:\n{worker.text()}" for worker in self.workers)

    def open_gate(self) -> None:
        (self.folder / "go").touch()

    def lease_until(self, worker: UUID) -> Any:
        found = self.connection.execute("select lease_until from holdfast.workers where id = %s", [worker]).fetchone()
        return found and found["lease_until"]
