"""Real worker processes on the bench's installation, and what they told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.served import TALES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from bench.place import Place

PATIENCE_S = 180.0
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Tale:
    """Something that happened in a worker."""

    what: str
    attempt: int
    pid: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Workers:
    """Worker processes that serve `bench.served`."""

    place: Place
    processes: list[subprocess.Popen[bytes]]

    @property
    def tales_path(self) -> Path:
        return self.place.data_dir / "tales"

    def start(self, count: int = 1, **settings: object) -> None:
        """Start processes with these settings."""
        environment = {
            **os.environ,
            TALES: str(self.tales_path),
            "HOLDFAST_DATA_DIR": str(self.place.data_dir),
            "HOLDFAST_LOG_LEVEL": "warning",
            **{f"HOLDFAST_{name.upper()}": str(value) for name, value in settings.items()},
        }
        command = [sys.executable, "-m", "holdfast.cli", "worker", "bench.served:app"]
        with (self.place.data_dir / "workers.log").open("ab") as log:
            self.processes.extend(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[1])
                for _ in range(count)
            )

    def tales(self) -> list[Tale]:
        """All that was told so far."""
        if not self.tales_path.exists():
            return []
        told = [line.split() for line in self.tales_path.read_text().splitlines()]
        return [Tale(what, int(attempt), int(pid), int(at) / 1e9) for what, attempt, pid, at in told]

    async def tale(self, what: str, attempt: int = 1) -> Tale:
        """The first tale of this, as soon as it is told."""
        found: list[Tale] = []

        def told() -> bool:
            found[:] = [tale for tale in self.tales() if (tale.what, tale.attempt) == (what, attempt)]
            return bool(found)

        await until(told, f"{what}, attempt {attempt}; see {self.place.data_dir / 'workers.log'}")
        return found[0]

    async def registered(self, count: int) -> None:
        """Wait until so many workers hold a lease."""
        await until(lambda: self.alive() >= count, f"{count} workers registered")

    def alive(self) -> int:
        """How many workers hold a lease."""
        return self.place.execute("select count(*) from holdfast.workers where lease_until > holdfast.now()")[0][0]

    def end(self, pid: int, how: signal.Signals) -> None:
        """Send a signal to one of these processes."""
        [process] = [process for process in self.processes if process.pid == pid]
        process.send_signal(how)


@contextmanager
def workers_of(place: Place) -> Generator[Workers]:
    """None at first; all are ended after the block."""
    workers = Workers(place, [])
    try:
        yield workers
    finally:
        for process in workers.processes:
            process.terminate()
        for process in workers.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def until(met: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never: {what}")
        await asyncio.sleep(_LOOK_S)
