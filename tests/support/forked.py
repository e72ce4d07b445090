"""Programs of this project, started in 0.1 s of CPU instead of 0.7 to 3.5: forked by a process that has imported.

    process = start([sys.executable, "-m", "holdfast.cli", "run", ...], env=..., cwd=..., stdout=PIPE)

is `subprocess.Popen` in every way: a process of its own with this command, environment, folder and these standard
files, in the session and process group of the tests, killed, stopped and waited for by the same object. It is a
child of the fork server (`fork_server.py`), one for each test process, which has imported *libraries* and nothing
of Holdfast. Both end with the tests, also when those are killed.

An `exec` stays one

- where a test is about starting: what is imported when (`acceptance/test_cli_start.py`), commands as users type them
  (`docs/test_fences.py`, the programs in `examples/` and `model_server/`), the demo, whatever `holdfast dev` and the
  demo start themselves, crash plans and their module, and everything in `embedded/`: these do not come here;
- wherever the environment differs from the tests' own in anything that Python or a library may read while it is
  imported, which is all but `_LATER`: `start` sees to that;
- everywhere under `HOLDFAST_TESTS_EXEC=1`.

Different from an `exec`: the seed of `hash` is that of the server, `/proc/<pid>/cmdline` too, and the parent.
`unit/test_forked.py` proves the rest.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LATER = frozenset({"COLUMNS", "OPENAI_API_KEY", "OPENAI_BASE_URL", "PATH", "PYTHONPATH"})
_LATER_PREFIXES = ("HOLDFAST_", "BANK_", "PYTEST_")
_LIBRARIES = """
    alembic.command alembic.config alembic.script anyio.abc anyio._backends._asyncio cedarpy
    cryptography.hazmat.primitives.ciphers.aead cryptography.hazmat.primitives.keywrap
    cryptography.hazmat.primitives.asymmetric.rsa encodings.ascii encodings.idna fastapi fastapi.responses
    fastapi.openapi.utils genai_prices.data getpass httpx2 importlib.readers joserfc.jwk joserfc.jwt
    openai.resources.chat.completions openai.resources.responses.responses orjson psutil psycopg.types.json
    psycopg_pool pydantic.v1 pydantic_ai pydantic_ai.durable_exec pydantic_ai.models.function
    pydantic_ai.models.openai pydantic_ai.models.test pydantic_ai.providers.openai pydantic_settings
    rich._emoji_codes rich.console rich.live rich.markdown rich.table sqlite3 starlette.middleware structlog typer
    typer._adapters typer._click.decorators typer.rich_utils uuid_utils.compat uvicorn uvicorn.lifespan.on
    uvicorn.logging uvicorn.loops.auto uvicorn.protocols.http.h11_impl uvicorn.protocols.websockets.auto uvloop
    watchfiles yaml zoneinfo
"""
"""What Holdfast and the apps of tests import. Nothing of Holdfast: a child imports that itself, from its own
environment, so that none of Holdfast's state is older than the process and no import that is missing is hidden."""
_MESSAGE_BYTES = 1 << 16
_PROGRAM = Path(__file__).with_name("fork_server.py")
_EVERY_START_IS_AN_EXEC = os.environ.get("HOLDFAST_TESTS_EXEC") == "1"


def _at_import(environment: Mapping[str, str]) -> dict[str, str]:
    """What may matter to a library while it is imported."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _LATER and not name.startswith(_LATER_PREFIXES)
    }


_OURS = _at_import(os.environ)


def start(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """A program of Python's, `-m module ...` or `-c code ...`; options are those of `Popen` for files and text."""
    fits = list(command[:1]) == [sys.executable] and command[1] in {"-m", "-c"} and _at_import(env) == _OURS
    if fits and not _EVERY_START_IS_AN_EXEC:
        return Forked(command, env=env, cwd=cwd, **options)
    return subprocess.Popen(command, env=env, cwd=cwd, **options)


def run(command: Sequence[str], *, timeout: float, input: str | None = None, **options: Any) -> tuple[int, str, str]:
    """Exit code and what was said, as `subprocess.run` with text."""
    pipe = subprocess.PIPE
    files = {"stdin": subprocess.DEVNULL if input is None else pipe, "stdout": pipe, "stderr": pipe, "text": True}
    with start(command, **files, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return process.returncode, out, err


class _Server:
    """This test process's fork server; one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(theirs.fileno()), *_LIBRARIES.split()],
                env=_OURS,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.end)
        self._hear()

    def ask(self, question: dict[str, Any], files: Sequence[int] = ()) -> tuple[dict[str, Any], list[int]]:
        with self._lock:
            socket.send_fds(self._control, [json.dumps(question).encode()], files)
            return self._hear()

    def _hear(self) -> tuple[dict[str, Any], list[int]]:
        answer, files, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        if not answer:
            self._said.seek(0)
            raise RuntimeError(f"the fork server ended: {self._said.read().decode()}")
        return json.loads(answer), files

    def end(self) -> None:
        self._control.close()
        self._process.wait()
        self._said.close()


_server: _Server | None = None
_starting = threading.Lock()


def _the_server() -> _Server:
    global _server  # noqa: PLW0603 - one for each test process, from its first use on
    with _starting:
        if _server is None:
            _server = _Server()
    return _server


class Forked(subprocess.Popen[Any]):
    """A child of the fork server. Like any, it stays a zombie until it is waited for, so its pid is its own."""

    _pidfd = -1

    def _execute_child(
        self, args: Sequence[str], _executable: Any, _preexec: Any, _close_fds: Any, _pass_fds: Any, cwd: Any, env: Any,
        _info: Any, _flags: Any, _shell: Any, p2cread: int, p2cwrite: int, c2pread: int, c2pwrite: int, errread: int,
        errwrite: int, *_rest: Any,
    ) -> None:  # fmt: skip
        folder = Path(cwd or ".").resolve(strict=True)
        order = {"command": list(args[1:]), "cwd": str(folder), "env": dict(env)}
        files = [given if given != -1 else own for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        answer, [self._pidfd] = _the_server().ask(order, files)
        self.pid = answer["pid"]
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _ended(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, timeout) * 1000))

    def _reap(self, _pid: int, flags: int) -> tuple[int, int]:
        """In place of `os.waitpid`."""
        if not self._ended(0 if flags & os.WNOHANG else None):
            return 0, 0
        answer, _ = _the_server().ask({"reap": self.pid})
        os.close(self._pidfd)
        return self.pid, answer["status"]

    def _internal_poll(self, _deadstate: Any = None, **_: Any) -> int | None:
        return super()._internal_poll(_deadstate, _waitpid=self._reap)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        return self._reap(self.pid, wait_flags)

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None and timeout is not None and not self._ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return super()._wait(None)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, sig)
