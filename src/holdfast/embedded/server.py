"""Holding the server: `acquire`, and what it returns."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from . import locks
from .accounts import server_account
from .errors import DirectoryNotUsable, EmbeddedUnavailable, StartFailed
from .launch import ensure_running
from .layout import Layout, layout_of, make_directory, open_shared, unusable
from .plan import Options, checked_settings

RETRY_PAUSE_S = 0.5
AGAIN_S = 0.02


class EmbeddedServer:
    """A share in the running server, until `release()` or the end of the process, however it ends.

    A forked child has no share and must acquire its own. Safe to use from any thread.
    """

    data_dir: Path
    version: str  # of the server's programs, such as "18.4"

    def __init__(self, layout: Layout, share: int, state: Mapping[str, Any], start_timeout_s: float) -> None:
        self.data_dir = layout.root
        self.version = state["plan"]["version"]
        self._layout, self._share, self._start_timeout_s = layout, share, start_timeout_s
        self._socket_dir: str = state["plan"]["socket_dir"]
        self._port: int = state["plan"]["port"]
        self._tcp = state["plan"]["options"]["tcp_port"] is not None
        self._pid = os.getpid()
        self._released = threading.Event()
        self._wake_r, self._wake_w = os.pipe()
        self._watcher = threading.Thread(target=self._watch, name="holdfast-embedded", daemon=True)
        self._watcher.start()

    @property
    def dsn(self) -> str:
        """The libpq conninfo of the superuser `admin` on the database `postgres`, over the socket."""
        host = self._socket_dir.replace("\\", "\\\\").replace("'", "\\'")
        return f"host='{host}' port={self._port} user=admin dbname=postgres"

    def url(self, *, user: str, database: str) -> str:
        """The libpq URL of a role on a database, over the socket; no password is asked there."""
        host = quote(self._socket_dir, safe="")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={host}&port={self._port}"

    def tcp_url(self, *, database: str = "postgres") -> str:
        """The URL of `admin`, with its password, on the loopback port; as an outside server would look.

        ValueError unless the server was started with `tcp_port`.
        """
        if not self._tcp:
            raise ValueError("this server listens on its socket only; acquire it with tcp_port=0 for a TCP port")
        password = quote(self._layout.password.read_text().strip(), safe="")
        return f"postgresql://admin:{password}@127.0.0.1:{self._port}/{quote(database, safe='')}"

    def release(self) -> None:
        """Give the share back; the server stops when it was the last one. May be called again."""
        if self._released.is_set() or os.getpid() != self._pid:
            return
        self._released.set()
        locks.close(self._share)
        with contextlib.suppress(BrokenPipeError):  # the watcher was awake and has seen it by itself
            os.write(self._wake_w, b"x")
        self._watcher.join(timeout=self._start_timeout_s)
        os.close(self._wake_w)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _watch(self) -> None:
        """Wait for the supervisor's death and put a new one in its place, as long as we hold a share."""
        try:
            while not self._released.is_set():
                self._await_supervisor_death()
                if not self._released.is_set() and not self._restore():
                    return
        finally:
            os.close(self._wake_r)

    def _await_supervisor_death(self) -> None:
        try:
            fifo = os.open(self._layout.alive_fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # the directory is gone: _restore sees that
        try:
            os.read(fifo, 1)  # the end of file: nobody has it open for writing, no supervisor lives
        except BlockingIOError:  # one lives; the poll below reports its end, even if it came meanwhile
            poll = select.poll()
            poll.register(fifo, 0)  # hang-up is always reported
            poll.register(self._wake_r, select.POLLIN)
            poll.poll()
        finally:
            os.close(fifo)

    def _restore(self) -> bool:
        """Have a supervisor again; False when there is nothing left to hold."""
        import logging

        log = logging.getLogger("holdfast.embedded")
        if not locks.is_file_at(self._share, self._layout.holders_lock):
            if not self._released.is_set():
                log.error("the embedded server's directory %s was removed while in use", self._layout.root)
            return False
        try:
            ensure_running(self._layout, None, time.monotonic() + self._start_timeout_s, self._released.is_set)
            # A supervisor in the middle of dying may still have its lock, and its server accept: look again.
            self._released.wait(AGAIN_S)
        except (EmbeddedUnavailable, OSError) as error:
            if not self._released.is_set():
                log.warning("the embedded server is down and could not be started again yet: %s", error)
                self._released.wait(RETRY_PAUSE_S)
        return True


def acquire(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    start_timeout_s: float = 60,
    bin_dir: Path | None = None,
    tcp_port: int | None = None,
) -> EmbeddedServer:
    """Hold the server on `data_dir`, making the data and starting the server when need be.

    Blocks until the server accepts connections: milliseconds when it runs. `settings` (PostgreSQL
    parameters), `bin_dir` (its programs) and `tcp_port` (also listen on 127.0.0.1; 0 picks a port) count
    only when this call starts the server. Raises EmbeddedUnavailable's subclasses; ValueError for a
    setting that the embedded server owns.
    """
    if os.name != "posix":
        raise DirectoryNotUsable("The embedded server needs Linux or macOS. Set HOLDFAST_DATABASE_URL instead.")
    options = Options(checked_settings(settings), os.fspath(bin_dir.absolute()) if bin_dir else None, tcp_port)
    layout = layout_of(data_dir)
    deadline_s = time.monotonic() + start_timeout_s
    if not layout.root.is_dir():
        owner = server_account(layout.root, layout.pgdata) if os.geteuid() == 0 else None
        make_directory(layout.root, owner)
    share = _take_share(layout, deadline_s)
    try:
        state = ensure_running(layout, options, deadline_s)
        return EmbeddedServer(layout, share, state, start_timeout_s)
    except BaseException as error:
        locks.close(share)
        if isinstance(error, OSError):
            raise unusable(layout.root, error) from error
        raise


def _take_share(layout: Layout, deadline_s: float) -> int:
    """The shared lock; waits while a supervisor that found no holders stops the server."""
    while True:
        fd = locks.keep(open_shared(layout, layout.holders_lock))
        if not locks.lock(fd, exclusive=False, deadline_s=deadline_s):
            locks.close(fd)
            raise StartFailed(f"The server on {layout.root} is being stopped and has not ended in time. Try again.")
        if locks.is_file_at(fd, layout.holders_lock):
            return fd
        locks.close(fd)  # the directory was deleted while we waited
        make_directory(layout.root, None)
