"""The server process itself: make its data, start it, tell when it is ready, stop it."""

import contextlib
import errno
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from .accounts import supplementary_groups
from .errors import EmbeddedUnavailable, StartFailed
from .layout import Layout, open_shared, unusable
from .plan import Plan
from .sockets import make_socket_directory

SUPERUSER = "admin"
LOG_MAX_BYTES = 16 * 1024 * 1024
LOG_TAIL_BYTES = 4000
_PR_SET_PDEATHSIG = 1


def _death_signal(signum: int) -> Callable[[], None]:
    """For the child between fork and exec: be sent `signum` when the supervisor dies."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return arm


def _spawn(
    plan: Plan,
    program: str,
    pgdata: Path,
    arguments: list[str],
    death: int,
    *,
    stdin: int,
    output: int,
    keep: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a program on `pgdata` as the server's user, with nothing of our environment in it.

    It is sent the signal `death` when this process dies, and inherits the descriptors `keep`.
    """
    directory = os.open(pgdata, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    where = f"/proc/self/fd/{directory}" if plan.by_descriptor else os.fspath(pgdata)
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    drop = os.geteuid() == 0
    try:
        return subprocess.Popen(  # noqa: S603  (a program we found, without a shell)
            [f"{plan.bin_dir}/{program}", "-D", where, *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **kept},
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_death_signal(death),  # noqa: PLW1509  (the supervisor has one thread)
            umask=0o077,
            pass_fds=(*keep, directory) if plan.by_descriptor else keep,
            user=plan.uid if drop else None,
            group=plan.gid if drop else None,
            extra_groups=supplementary_groups(plan.account) if drop else None,
        )
    finally:
        os.close(directory)


def ensure_data(layout: Layout, plan: Plan) -> None:
    """Make the data directory unless it is there; whole or not at all. Raises StartFailed."""
    if layout.pgdata.exists():
        return
    for left in layout.root.glob("data.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = layout.root / f"data.new-{secrets.token_hex(4)}"
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(new, plan.uid, plan.gid)
    _initdb(layout, plan, new)
    # The password opens TCP on the loopback (tests, a chosen tcp_port); over the socket none is asked.
    with (new / "pg_hba.conf").open("w") as hba:
        hba.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    new.rename(layout.pgdata)


def _initdb(layout: Layout, plan: Plan, new: Path) -> None:
    locale = ["--no-locale"]
    if int(plan.version.split(".")[0]) >= 17:  # noqa: PLR2004  (first with a locale provider of its own)
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    arguments = ["-U", SUPERUSER, "-E", "UTF8", "--data-checksums", *locale]
    arguments += ["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=/dev/stdin"]
    arguments += ["--no-sync"] if plan.options.settings.get("fsync") == "off" else []
    with _password_file(layout, plan) as password:
        initdb = _spawn(plan, "initdb", new, arguments, signal.SIGKILL, stdin=password, output=subprocess.PIPE)
        said, _ = initdb.communicate()
    if initdb.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        tail = said.decode(errors="replace")[-LOG_TAIL_BYTES:]
        raise _failure(layout, f"PostgreSQL {plan.version} could not make its data in {layout.root}.", tail)


@contextlib.contextmanager
def _password_file(layout: Layout, plan: Plan) -> Generator[int]:
    layout.password.unlink(missing_ok=True)
    fd = os.open(layout.password, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:
            os.fchown(fd, plan.uid, plan.gid)  # initdb opens it again through /dev/stdin, as its own user
        os.write(fd, f"{secrets.token_urlsafe(24)}\n".encode())
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


class Postmaster:
    """A started server, child of this process."""

    def __init__(self, layout: Layout, plan: Plan, lock: int) -> None:
        """Start it; `lock` is the descriptor of server.lock, which it takes over."""
        self._layout, self._plan = layout, plan
        # No server lives (we have its lock): a socket here is dead, whatever pid its lock file names.
        shutil.rmtree(plan.socket_dir, ignore_errors=True)
        make_socket_directory(layout, Path(plan.socket_dir), plan.account)
        log = open_shared(layout, layout.log, os.O_WRONLY | os.O_APPEND)
        self._log_start_bytes = os.fstat(log).st_size
        try:
            # SIGQUIT: the server ends within seconds whatever it does, and recovers at the next start.
            # A gentler stop could hang, and then an orphan would stay.
            self._process = _spawn(
                plan,
                "postgres",
                layout.pgdata,
                self._arguments(),
                signal.SIGQUIT,
                stdin=subprocess.DEVNULL,
                output=log,
                keep=(lock,),
            )
        finally:
            os.close(log)
            os.close(lock)

    @property
    def pid(self) -> int:
        """Of the process, alive or not."""
        return self._process.pid

    def _arguments(self) -> list[str]:
        plan = self._plan
        quoted = plan.socket_dir.replace('"', '""')
        fixed = {
            "listen_addresses": "127.0.0.1" if plan.tcp else "",
            "port": str(plan.port),
            "unix_socket_directories": f'"{quoted}"',
            "unix_socket_permissions": "0777",  # its directory decides who may come
            "logging_collector": "off",
            "log_destination": "stderr",
        }
        settings = {**plan.defaults, **plan.options.settings, **fixed}
        return [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]

    def ended(self) -> bool:
        """Whether the process is gone (and reap it)."""
        return self._process.poll() is not None

    def ready(self) -> bool:
        """Whether it says so itself: the eighth line of postmaster.pid, and the first is this process."""
        try:
            lines = (self._layout.pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"  # noqa: PLR2004

    def failure(self) -> EmbeddedUnavailable:
        """Why it ended, in its own words."""
        what = (
            f"PostgreSQL {self._plan.version} on {self._layout.root} ended instead of starting "
            f"(exit {self._process.returncode}). Its log is {self._layout.log}."
        )
        return _failure(self._layout, what, log_tail(self._layout, self._log_start_bytes))

    def stop(self) -> None:
        """Fast shutdown; harsher when it does not end."""
        for signum, patience_s in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                return


def _failure(layout: Layout, what: str, tail: str) -> EmbeddedUnavailable:
    if os.strerror(errno.ENOSPC) in tail:
        return unusable(layout.root, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    return StartFailed(f"{what} It said:", tail)


def log_tail(layout: Layout, start_bytes: int = 0) -> str:
    """The end of the server's log, from `start_bytes` on at the earliest."""
    try:
        with layout.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start_bytes if start_bytes <= size else 0, size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def rotate_log(layout: Layout) -> None:
    """Keep one previous log. The server appends to an open file, so it is copied and emptied."""
    if layout.log.stat().st_size > LOG_MAX_BYTES:
        shutil.copyfile(layout.log, layout.log.with_name("postgresql.log.1"))
        os.truncate(layout.log, 0)
