"""The process that `support.forked` keeps: it has imported the libraries, and forks a program for each order.

`python fork_server.py <file descriptor> <library> ...`

In, over a Unix socket that keeps messages apart: {"command", "cwd", "env"} with the three standard files, or
{"reap": pid}. Out: {"pid"} with a pidfd, or {"status"}, or {"error"}. When the other end is gone, its children are
killed and it ends; should it be killed itself, the kernel kills them.
"""

# ruff: noqa: E402 - the folder of this file must leave the path before anything is looked for there
import sys

del sys.path[0]

import contextvars
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uuid_utils

PR_SET_PDEATHSIG = 1
MESSAGE_BYTES = 1 << 20


def started_with() -> dict[str, str]:
    """The environment that this process was given, without what Python added."""
    pairs = [pair.partition(b"=") for pair in Path("/proc/self/environ").read_bytes().split(b"\0") if pair]
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def python_path(environment: Mapping[str, str]) -> list[str]:
    return [os.path.abspath(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]  # noqa: PTH100


class Origin:
    """What a new interpreter would have, noted before anything changes it."""

    def __init__(self) -> None:
        given = started_with()
        own = python_path(given)
        self.path = [entry for entry in sys.path if entry not in own]
        self.added = {name: value for name, value in os.environ.items() if name not in given}  # LC_CTYPE, in locale C
        self.on_interrupt = signal.getsignal(signal.SIGINT)
        self.encoding, self.errors = sys.stdout.encoding, sys.stdout.errors
        self.unbuffered = sys.stdout.write_through


def serve(control: socket.socket, origin: Origin) -> Callable[[], object]:
    """Fork as ordered. Returns in a child only: the program that it is to run."""
    children = set[int]()
    server = os.getpid()
    while True:
        message, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 3)
        if not message:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os._exit(0)
        order = json.loads(message)
        if "reap" in order:
            children.remove(order["reap"])
            control.send(json.dumps({"status": os.waitpid(order["reap"], 0)[1]}).encode())
            continue
        pid = os.fork()
        if pid == 0:
            return born(order, files, server, origin)
        children.add(pid)
        for file in files:
            os.close(file)
        pidfd = os.pidfd_open(pid)
        socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [pidfd])
        os.close(pidfd)


def born(order: dict[str, Any], files: list[int], server: int, origin: Origin) -> Callable[[], object]:
    """Make this process what `exec` would have made it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, origin.on_interrupt)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"] | {name: order["env"].get(name, value) for name, value in origin.added.items()})
    time.tzset()
    uuid_utils.reseed_rng()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = standard(number, name, origin)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    kind, what, *arguments = order["command"]
    sys.argv = [kind, *arguments]
    first = order["cwd"] if kind == "-m" else ""
    sys.path[:] = dict.fromkeys([first, *python_path(os.environ), *origin.path])
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__annotations__ = {}
    if kind == "-m":
        return lambda: runpy._run_module_as_main(what)
    return lambda: exec(compile(what, "<string>", "exec"), main.__dict__)


def standard(number: int, name: str, origin: Origin) -> io.TextIOWrapper:
    """A standard stream, as Python makes it when it starts."""
    mode = "r" if number == 0 else "w"
    buffered: Any = open(number, f"{mode}b", closefd=False)  # noqa: SIM115
    buffered.raw.name = f"<{name}>"
    file: Any = buffered if number == 0 or not origin.unbuffered else buffered.detach()
    stream = io.TextIOWrapper(
        file,
        encoding=origin.encoding,
        errors="backslashreplace" if number == 2 else origin.errors,
        newline="\n",
        line_buffering=not origin.unbuffered and (number == 2 or os.isatty(number)),
        write_through=file is not buffered,
    )
    stream.mode = mode
    return stream


def main() -> Callable[[], object]:
    origin = Origin()
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes to the tests, which close the other end
    for library in sys.argv[2:]:
        contextvars.copy_context().run(importlib.import_module, library)
    own = [name for name in sys.modules if name.partition(".")[0] == "holdfast"]
    threads, files = (list(Path("/proc/self", which).iterdir()) for which in ("task", "fd"))
    if own or len(threads) > 1 or len(files) > 5:  # the standard ones, the socket, and the listing itself
        sys.exit(f"A child would have what it should not: {own}, {threads}, {files}")
    gc.collect()
    gc.freeze()  # a child's collections would copy every page
    control.send(b"{}")
    return serve(control, origin)


if __name__ == "__main__":
    main()()
