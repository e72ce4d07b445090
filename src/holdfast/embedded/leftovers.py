"""What a crash left on the data: processes of the last server, and a postmaster.pid that lies.

PostgreSQL trusts the pid in postmaster.pid, and pids come again (in a container soon: the same small
numbers at every start). Each of our servers inherits an exclusive lock on server.lock and so do all
its processes: when we get that lock, none of them lives, in whatever container it was.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import locks
from .accounts import supplementary_groups
from .errors import StartFailed
from .layout import Layout, open_shared
from .plan import Plan

PATIENCE_S = 6.0


def server_lock(layout: Layout, plan: Plan) -> int:
    """The locked descriptor of server.lock, once no process of an earlier server lives.

    Only the supervisor calls this, and there is one: whatever still runs on the data is nobody's, and
    is ended. Raises StartFailed when that does not succeed.
    """
    fd = open_shared(layout, layout.server_lock)
    free = locks.try_lock(fd, exclusive=True)
    # A clean stop removes the file; this is the way after a crash only.
    if not free or (layout.pgdata / "postmaster.pid").exists():
        _as_server_user(layout, plan)
        free = locks.lock(fd, exclusive=True, deadline_s=time.monotonic() + PATIENCE_S)
    if not free:
        os.close(fd)
        raise StartFailed(
            f"Processes of the last server on {layout.root} still run and could not be ended (in another "
            f"container, or a command the server started). End those that have {layout.server_lock} open, "
            f"then try again."
        )
    return fd


def _as_server_user(layout: Layout, plan: Plan) -> None:
    """Clear up in a child that is the server's user: in a container root may not look into its processes."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.chdir(layout.pgdata)
        if os.geteuid() == 0:
            os.setgroups(supplementary_groups(plan.account))
            os.setgid(plan.gid)
            os.setuid(plan.uid)
        _clear()
    finally:
        os._exit(0)


def _clear() -> None:
    """End the servers in the current directory; then its postmaster.pid names nobody of ours."""
    for signum in (signal.SIGQUIT, signal.SIGKILL):
        left = _servers_here()
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signum)
        deadline_s = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < deadline_s:
            time.sleep(0.01)
            left = _servers_here()
    with contextlib.suppress(FileNotFoundError):
        os.unlink("postmaster.pid")  # noqa: PTH108  (relative: the directory's path may be closed to this user)


def _servers_here() -> list[int]:
    """Processes whose program is postgres and whose directory is the current one."""
    if sys.platform != "linux":
        return _servers_by_ps()
    here = os.stat(".")  # noqa: PTH116
    found: list[int] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            program = os.readlink(f"/proc/{entry.name}/exe").removesuffix(" (deleted)")  # noqa: PTH115
            if program.endswith("/postgres") and os.path.samestat(os.stat(f"/proc/{entry.name}/cwd"), here):  # noqa: PTH116
                found.append(int(entry.name))
    return found


def _servers_by_ps() -> list[int]:
    command = ["/bin/ps", "-axo", "pid=,command="]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout  # noqa: S603
    return [int(line.split()[0]) for line in listed.splitlines() if f"/postgres -D {Path.cwd()} " in line]
