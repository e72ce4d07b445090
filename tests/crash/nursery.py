"""The test's side of the nursery: workers are asked for, watched and killed."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
PATIENCE_S = 90


class Worker:
    """A forked worker process."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid, self.log_path = pid, log
        self.ended: Future[int] = Future()

    @property
    def is_alive(self) -> bool:
        return not self.ended.done()

    def signal(self, number: int) -> None:
        # The nursery reaps it at once, so the pid may be free: only what is not known to have ended is signalled.
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def gone(self) -> int:
        """Wait until it has ended; its wait status."""
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.wrap_future(self.ended)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.gone()

    def text(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]


class Nursery:
    """Forks workers that serve what `app`, a module beside this file, makes of their tasks."""

    def __init__(self, folder: Path, model_url: str, app: str = "crash_app") -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Worker]] = {}
        self.workers: dict[int, Worker] = {}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        environment |= {
            "CRASH_MODEL_URL": model_url,
            "CRASH_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        with (folder / "nursery.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "nursery_process.py"), app],
                env=environment,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    async def worker(
        self,
        tasks: Sequence[str],
        settings: dict[str, Any],
        *,
        version: str = "1",
        crash: str = "",
        passed: Path | None = None,
    ) -> Worker:
        """Fork a worker that serves these tasks; it is alive when this returns, not yet registered."""
        number = next(self._numbers)
        order = {
            "id": number,
            "settings": {name: str(value) for name, value in settings.items()},
            "tasks": list(tasks),
            "version": version,
            "crash": crash,
            "passed": str(passed) if passed else None,
            "log": str(self._folder / f"worker-{number}.log"),
        }
        found = self._waiting[number] = Future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.wrap_future(found)

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in list(self.workers.values()) if worker.is_alive]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "ended" in said:
                self.workers[said["pid"]].ended.set_result(said["ended"])
            else:
                number = said["id"]
                worker = Worker(said["pid"], self._folder / f"worker-{number}.log")
                self.workers[worker.pid] = worker
                self._waiting.pop(number).set_result(worker)
        for waiting in self._waiting.values():
            waiting.set_exception(RuntimeError((self._folder / "nursery.log").read_text() or "the nursery ended"))
        for worker in self.alive:  # they die with the nursery
            worker.ended.set_result(signal.SIGKILL)
