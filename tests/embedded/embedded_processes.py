"""Real servers, real processes, real kills. Settings skip fsync: no test here cuts the power."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.embedded import status
from holdfast.embedded.binaries import find

SRC = Path(__file__).parents[2] / "src"
FAST = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}
DEADLINE_S = 60

# A holder: says what it got, then does what it is told, line by line, until its input ends.
HOLDER = f"""
import sys, os, json
sys.path.append(sys.argv[1])
from pathlib import Path
from holdfast.embedded import EmbeddedUnavailable, acquire, status
bin_dir = Path(sys.argv[3]) if len(sys.argv) > 3 else None
try:
    server = acquire(Path(sys.argv[2]), settings={FAST!r}, bin_dir=bin_dir)
except EmbeddedUnavailable as error:
    print(json.dumps({{"error": type(error).__name__, "message": str(error)}}), flush=True)
    sys.exit(3)
facts = {{"pid": status(server.data_dir).pid, "dsn": server.dsn, "version": server.version}}
print(json.dumps(facts), flush=True)
for line in sys.stdin:
    if line.strip() == "release":
        server.release()
        print("{{}}", flush=True)
"""


def until(condition: Callable[[], object], what: str) -> object:
    """Wait for a condition of another process, which sends no signal; the deadline bounds a failure."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def servers_on(data_dir: Path) -> list[int]:
    """Every living server process (postmaster, backends) whose directory is this data."""
    pgdata = data_dir / "data"
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (entry / "exe").readlink().name.startswith("postgres") and (entry / "cwd").samefile(pgdata):
                found.append(int(entry.name))
    return found


def supervisors_on(data_dir: Path) -> list[int]:
    """Every living process that has the directory's supervisor lock open."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            names = [str(one.readlink()) for one in (entry / "fd").iterdir()]
            if str(data_dir / "supervisor.lock") in names:
                found.append(int(entry.name))
    return found


def until_another_runs(data_dir: Path, postmaster: int) -> None:
    """Wait until a server runs that is not this one. One look tells both: between two of them one may end."""
    until(lambda: (seen := status(data_dir)).running and seen.pid != postmaster, "a new server runs")


def until_gone(data_dir: Path) -> None:
    """Wait until neither server nor supervisor is left of this directory."""
    until(lambda: not servers_on(data_dir) and not supervisors_on(data_dir), f"nothing runs on {data_dir}")


class Holder:
    """A process that holds the server."""

    def __init__(
        self, data_dir: Path, *, user: str | int | None = None, bin_dir: Path | None = None, umask: int = -1
    ) -> None:
        interpreter = sys.executable if user is None else python_of_everyone()
        if user is not None and bin_dir is None:
            bin_dir = find(data_dir).bin_dir  # that Python may not have the wheel
        command = [interpreter, "-c", HOLDER, str(SRC), str(data_dir), *([str(bin_dir)] if bin_dir else [])]
        groups = None if user is None else []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=user,
            group=None if user is None else "nogroup",
            extra_groups=groups,
            umask=umask,
            cwd="/",
        )

    def answer(self) -> dict:
        import json

        line = self.process.stdout.readline()
        assert line, f"holder ended with {self.process.wait()}"
        return json.loads(line)

    def release(self) -> None:
        self.process.stdin.write("release\n")
        self.process.stdin.flush()
        self.answer()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def python_of_everyone() -> str:
    """A Python that any OS user may run (this one may lie in root's home)."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        done = (
            subprocess.run(
                [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
                check=False,
                user="nobody",
                capture_output=True,
            )
            if _runs(candidate)
            else None
        )
        if done is not None and done.returncode == 0:
            return candidate
    pytest.fail("no Python 3.11 that an ordinary user may run: install python3 on this machine")


def _runs(candidate: str) -> bool:
    try:
        subprocess.run([candidate, "--version"], check=True, user="nobody", capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def supervisor_of(data_dir: Path) -> int:
    return until(lambda: status(data_dir).supervisor_pid, "a supervisor lives")


def postmaster_of(data_dir: Path) -> int:
    return until(lambda: (seen := status(data_dir)).running and seen.pid, "the server runs")
