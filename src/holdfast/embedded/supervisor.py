"""The supervisor: parent of the server, and the one who ends it.

Its whole life: take supervisor.lock; make the data if there is none; start the server; say so in
server.json and to the process that started us; then wait. Server ended: start it again. Nobody
holds the server (the exclusive lock on holders.lock is ours): stop it, remove server.json, go. It
keeps that lock until all is stopped, so a newcomer waits and finds a clean house. Runs alone, with
the standard library only.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from . import locks
from .errors import EmbeddedUnavailable, StartFailed
from .layout import Layout, layout_of, open_shared, share, unusable, write_state
from .leftovers import server_lock
from .plan import Plan
from .postmaster import Postmaster, ensure_data, rotate_log

# A signal that arrives between a check and the blocking call would be slept through; this bounds it.
WAKE_EVERY_S = 2.0
RESTART_PAUSE_S = 1.0


class _WokenUp(Exception):
    """A signal arrived while waiting."""


class Supervisor:
    """Runs the server described by a plan, as long as it is held."""

    def __init__(self, layout: Layout, plan: Plan) -> None:
        self._layout, self._plan = layout, plan
        self._holders = open_shared(layout, layout.holders_lock)
        self._own = open_shared(layout, layout.supervisor_lock)
        self._alive: int | None = None
        self._waiting = False
        self._told_to_stop = False

    def run(self, report: int) -> None:
        """Live; answer on the descriptor `report` when the first start has succeeded or failed."""
        # A passing look at the lock (locks.held_exclusively) may be in the way for a moment.
        if not locks.lock(self._own, exclusive=True, deadline_s=time.monotonic() + 5):
            raise StartFailed(f"Another supervisor already runs the server on {self._layout.root}.")
        self._signals()
        self._alive = self._open_fifo()
        ensure_data(self._layout, self._plan)
        server = self._start()
        _answer(report, {"ready": True})
        while server is not None:
            self._wait(server)
            if self._abandoned():
                break
            if server.ended():
                _log(f"server {server.pid} ended unexpectedly; starting it again")
                server = self._start_again()
        self._leave(server)

    def _open_fifo(self) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._layout.alive_fifo, 0o600)
        fd = os.open(self._layout.alive_fifo, os.O_RDWR | os.O_CLOEXEC)  # for both: opening never blocks
        share(self._layout, fd)
        return fd

    def _signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for signum in (signal.SIGCHLD, signal.SIGALRM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(signum, self._on_signal)
        signal.setitimer(signal.ITIMER_REAL, WAKE_EVERY_S, WAKE_EVERY_S)

    def _on_signal(self, signum: int, _frame: object) -> None:
        self._told_to_stop = self._told_to_stop or signum == signal.SIGTERM
        if self._waiting:
            self._waiting = False
            raise _WokenUp

    def _wait(self, server: Postmaster) -> None:
        """Sleep until nobody holds the server, the server ended, or there is reason to look around."""
        try:
            self._waiting = True
            if not (self._told_to_stop or server.ended()):
                fcntl.flock(self._holders, fcntl.LOCK_EX)
            self._waiting = False
        except _WokenUp:
            pass
        with contextlib.suppress(OSError):
            rotate_log(self._layout)

    def _abandoned(self) -> bool:
        """Whether to stop: nobody holds the server, we were told to, or the directory is no longer ours."""
        return (
            self._told_to_stop
            or locks.try_lock(self._holders, exclusive=True)
            or not locks.is_file_at(self._own, self._layout.supervisor_lock)
        )

    def _start(self) -> Postmaster | None:
        """Start the server and wait until it is ready; None when nobody wants it any more.

        Raises StartFailed. Recovery after a crash takes as long as it takes: holders bound their own wait.
        """
        server = Postmaster(self._layout, self._plan, server_lock(self._layout, self._plan))
        while not server.ready():
            if server.ended():
                raise server.failure()
            if self._abandoned():
                server.stop()
                return None
            time.sleep(0.005)
        self._publish("ready", server.pid)
        return server

    def _start_again(self) -> Postmaster | None:
        while True:
            self._publish("restarting", None)
            try:
                return self._start()
            except (EmbeddedUnavailable, OSError) as error:
                _log(f"restart failed: {error}")
                self._publish("failed", None, str(error))
            deadline_s = time.monotonic() + RESTART_PAUSE_S
            while time.monotonic() < deadline_s:
                if self._abandoned():
                    return None
                time.sleep(0.05)

    def _publish(self, state: str, pid: int | None, error: str | None = None) -> None:
        if not locks.is_file_at(self._own, self._layout.supervisor_lock):
            return  # the directory was removed; what is there now belongs to others
        facts = {"state": state, "pid": pid, "supervisor_pid": os.getpid(), "error": error}
        write_state(self._layout, {**facts, "plan": self._plan.to_json()})

    def _leave(self, server: Postmaster | None) -> None:
        """Stop the server, then leave nothing behind; the holders' lock goes last."""
        if server is not None:
            self._publish("stopping", server.pid)
            server.stop()
        if locks.is_file_at(self._own, self._layout.supervisor_lock):
            self._layout.state.unlink(missing_ok=True)
        shutil.rmtree(self._plan.socket_dir, ignore_errors=True)
        os.close(self._own)
        if self._alive is not None:
            os.close(self._alive)
        os.close(self._holders)


def _answer(report: int, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the one who asked may be dead
        os.write(report, json.dumps(message).encode())
    os.close(report)


def _arguments(error: EmbeddedUnavailable) -> list[str]:
    return [*error.args, error.log_tail] if isinstance(error, StartFailed) else list(error.args)


def _log(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} [{os.getpid()}] {line}\n")
    sys.stderr.flush()


def main() -> NoReturn:
    """Read the plan from standard input, detach, and run; standard output is for the answer."""
    plan = Plan.from_json(json.loads(sys.stdin.buffer.read()))
    if os.fork():
        os._exit(0)  # the starter reaps this one; the supervisor belongs to init
    report = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.chdir("/")
    layout = layout_of(Path(plan.root))
    try:
        Supervisor(layout, plan).run(report)
    except (EmbeddedUnavailable, OSError) as error:
        told = error if isinstance(error, EmbeddedUnavailable) else unusable(layout.root, error)
        _log(f"not started: {told}")
        _answer(report, {"error": type(told).__name__, "arguments": _arguments(told)})
    os._exit(0)
