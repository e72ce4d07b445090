"""A process that has imported everything and forks a worker for each line it reads: 50 ms instead of 3 s.

    python nursery_process.py crash_app      # the module whose `app_of(tasks, version)` they serve

In: one JSON object a line, {"id", "settings", "tasks", "version", "crash", "passed", "log"}.
Out: {"id", "pid"} when it was forked, {"pid", "ended"} when it died (wait status).
It has no threads and no event loop before a fork. Its workers die with it.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import openai.resources.chat.completions  # noqa: F401 - loaded on first use otherwise, in every worker anew
import uvloop  # noqa: F401

import holdfast.engine.execution
import holdfast.store.journal
import holdfast.store.live
import holdfast.worker.worker  # noqa: F401
from holdfast.cli.worker_process import serve
from holdfast.settings import Settings
from holdfast.testing import CrashPlan

PR_SET_PDEATHSIG = 1
APP = importlib.import_module(sys.argv[1])


def born(order: dict[str, Any], nursery: int) -> None:
    """The worker's whole life."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != nursery:
        os._exit(1)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    passed = Path(order["passed"]) if order["passed"] else None
    plan = CrashPlan.parse(order["crash"], passed=passed).install()
    app = APP.app_of(order["tasks"], order["version"])
    code = 1
    try:
        serve(Settings.load(order["settings"]), app, probe=plan)
        code = 0
    except BaseException:  # noqa: BLE001 - told in the log, which tests show
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tell(**said: Any) -> None:
    os.write(1, json.dumps(said).encode() + b"\n")


def main() -> None:
    nursery, poll, born_as = os.getpid(), select.poll(), dict[int, int]()
    poll.register(0, select.POLLIN | select.POLLHUP)
    rest = b""
    while True:
        for ready, _ in poll.poll():
            if ready != 0:
                poll.unregister(ready)
                os.close(ready)
                pid = born_as.pop(ready)
                tell(pid=pid, ended=os.waitpid(pid, 0)[1])
                continue
            read = os.read(0, 1 << 16)
            if not read:
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    for watched in born_as:
                        os.close(watched)
                    born(order, nursery)
                pidfd = os.pidfd_open(pid)
                born_as[pidfd] = pid
                poll.register(pidfd, select.POLLIN)
                tell(id=order["id"], pid=pid)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
