"""The demo's processes: a model provider, workers, and what holds them together."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from holdfast.settings import Settings

LEASE_S = 3.0
"""Short, so that nobody has to wait long for the rescue. The default is 10."""
PATIENCE_S = 90.0
_APP = "holdfast.cli.demo.app:app"
_LOOK_S = 0.02
_LOG_TAIL = 2000


class DemoFailed(Exception):
    """Something was not as promised; the message says what."""


class Stage:
    """The processes of one demo, in one directory.

    Args:
        directory: new and empty; for database, ledger and logs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._model_url = directory / "model.url"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def settings(self) -> Settings:
        """Of the installation in the directory, whatever else is configured on this machine."""
        from holdfast.settings import Settings

        flags = {"data_dir": self.directory / "data", "lease_s": LEASE_S, "log_level": "warning"}
        return Settings.load(flags, cwd=self.directory)

    def prepare(self, bank_url: str) -> None:
        """Make this process, and those started from here, know the directory, the bank, and nothing else."""
        for name in [name for name in os.environ if name.startswith(("HOLDFAST_", "OPENAI_"))]:
            if not name.startswith("HOLDFAST_EMBEDDED_"):
                del os.environ[name]
        os.environ["BANK_URL"] = bank_url
        os.environ["HOLDFAST_DATA_DIR"] = str(self.directory / "data")
        os.environ["HOLDFAST_LEASE_S"] = str(LEASE_S)

    def start_model(self, script_file: str = "script.yaml") -> None:
        """Start the model provider."""
        script = Path(__file__).with_name(script_file)
        self._start("model", "holdfast.testing.model_server", str(script), "--ready-file", str(self._model_url))

    async def know_model(self) -> None:
        """Once it listens, make the model provider the only one that this process and its children know."""
        await self.until(self._model_url.exists, "the model server listens", "model")
        os.environ["OPENAI_BASE_URL"] = self._model_url.read_text().strip()
        os.environ["OPENAI_API_KEY"] = "none-needed"

    def start_worker(self, name: str, app: str | None = None, *, dies_at: str | None = None, **settings: str) -> int:
        """Start a worker; its process id. `dies_at` is where it kills itself, `settings` are its own."""
        environment = {f"HOLDFAST_{setting.upper()}": value for setting, value in settings.items()}
        if dies_at is None:
            self._start(name, "holdfast.cli", "worker", app or _APP, **environment)
        else:
            self._start(name, "holdfast.testing.crash", app or _APP, HOLDFAST_TEST_CRASH=dies_at, **environment)
        return self._processes[name].pid

    async def died(self, name: str, *needed: str) -> None:
        """Wait until a process has ended by itself, as it was to."""
        await self.until(lambda: self._processes[name].poll() is not None, f"{name} dies", *needed)
        del self._processes[name]

    async def start_api(self, app: str) -> str:
        """Start an API; its address, once it listens."""
        self._start("api", "holdfast.cli", "serve", app, "--port", "0")
        found: list[str] = []

        def listens() -> bool:
            found[:] = re.findall(r'"url": ?"(http://[^"]+)"', self._log("api").read_text(errors="replace"))
            return bool(found)

        await self.until(listens, "the API listens", "api")
        return found[0]

    def kill(self, name: str) -> None:
        """End it by SIGKILL: the process gets no chance to do or say anything."""
        process = self._processes.pop(name)
        if process.poll() is not None:
            raise DemoFailed(f"{name} was to be killed, but had ended by itself.{self._tail(name)}")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def requests_to_model(self) -> list[dict[str, Any]]:
        """Every request the model provider was sent."""
        return self._model("requests")["requests"]

    def held(self, gate: str) -> int:
        """How many answers the model provider holds back at a gate of its script."""
        return self._model(f"gates/{gate}")["waiting"]

    def release(self, gate: str) -> None:
        """Have it go on with them."""
        self._model(f"gates/{gate}/release", b"")

    def lines(self, *names: str) -> list[str]:
        """All that these processes wrote."""
        return [line for name in names for line in self._log(name).read_text(errors="replace").splitlines()]

    async def until(self, so: Callable[[], bool], what: str, *needed: str) -> None:
        """Wait until `so()`; `what` says for what, `needed` names the processes that must live until then.

        Raises:
            DemoFailed: a process ended, or it took too long.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not so():
            self.check(*needed)
            if time.monotonic() > deadline:
                tails = "".join(self._tail(name) for name in needed)
                raise DemoFailed(f"Waited {PATIENCE_S:.0f} s in vain until {what}.{tails}")
            await asyncio.sleep(_LOOK_S)

    def check(self, *needed: str) -> None:
        """Raises DemoFailed where one of these processes has ended."""
        for name in needed:
            if (code := self._processes[name].poll()) is not None:
                raise DemoFailed(f"{name} ended with {code}.{self._tail(name)}")

    def end(self) -> None:
        """End every process that is left."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, module: str, *arguments: str, **environment: str) -> None:
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - this interpreter, and modules of this package
                [sys.executable, "-m", module, *arguments],
                cwd=self.directory,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _model(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        url = f"{os.environ['OPENAI_BASE_URL'].removesuffix('/v1')}/_holdfast/{path}"
        with urlopen(url, body, timeout=PATIENCE_S) as response:  # noqa: S310 - the demo's own, on loopback
            return json.load(response)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name.replace(' ', '-')}.log"

    def _tail(self, name: str) -> str:
        text = self._log(name).read_text(errors="replace")[-_LOG_TAIL:]
        return f"\nThe end of {self._log(name)}:\n{text}" if text else ""
