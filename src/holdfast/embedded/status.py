"""What `holdfast doctor` tells about the embedded server. Looks only; makes and locks nothing."""

import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from . import locks
from .errors import EmbeddedUnavailable
from .layout import Layout, layout_of, read_state
from .plan import Options, make_plan
from .sockets import accepts

_LOOK_S = 0.01


class EmbeddedStatus(NamedTuple):
    """The embedded server of one data directory, at one moment."""

    data_dir: Path
    running: bool
    pid: int | None
    version: str | None
    supervisor_pid: int | None  # None: no supervisor lives
    holders: tuple[int, ...] | None  # processes with a share; None where the system does not tell
    socket_dir: Path | None
    log: Path
    problems: tuple[str, ...]  # sentences for the operator; empty when all is well


def status(data_dir: Path) -> EmbeddedStatus:
    """Look at the server on `data_dir`; never raises for what it finds."""
    layout = layout_of(data_dir)
    problems: list[str] = []
    supervised, accepting, state = False, False, None
    try:
        supervised = locks.held_exclusively(layout.supervisor_lock)
        state = read_state(layout) if supervised else None
        if state is not None and state["state"] == "ready":
            accepting = accepts(Path(state["plan"]["socket_dir"]), state["plan"]["port"])
    except (EmbeddedUnavailable, OSError) as error:
        problems.append(str(error))
    if state is not None and not accepting:
        problems.append(state.get("error") or f"The server is {state['state']} and accepts no connections.")
    if not supervised and not problems:
        problems.extend(_obstacles(layout))
    plan: dict[str, Any] = state["plan"] if state else {}
    return EmbeddedStatus(
        data_dir=layout.root,
        running=accepting,
        pid=state["pid"] if state else None,
        version=plan.get("version"),
        supervisor_pid=state["supervisor_pid"] if state else None,
        holders=_holders(layout),
        socket_dir=Path(plan["socket_dir"]) if plan else None,
        log=layout.log,
        problems=tuple(problems),
    )


def until_stopped(data_dir: Path, timeout_s: float = 60) -> bool:
    """Wait until nothing runs on `data_dir` and nothing more is written there, as before it is removed.

    The last holder's `release` returns earlier. False: it is held still, or takes longer than that.
    """
    layout, deadline_s = layout_of(data_dir), time.monotonic() + timeout_s
    while locks.held_exclusively(layout.supervisor_lock):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(_LOOK_S)
    return True


def _obstacles(layout: Layout) -> list[str]:
    """Why a start would fail, as far as can be told without trying."""
    nearest = next(at for at in (layout.root, *layout.root.parents) if at.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return [f"{nearest} is not writable for this user."]
    if nearest != layout.root:
        return []
    try:
        make_plan(layout, Options({}))
    except (EmbeddedUnavailable, OSError) as error:
        return [str(error)]
    return []


def _holders(layout: Layout) -> tuple[int, ...] | None:
    """The holders, from the kernel's list of locks."""
    if sys.platform != "linux":
        return None
    try:
        at = layout.holders_lock.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return () if not layout.holders_lock.exists() else None
    where = f"{os.major(at.st_dev):02x}:{os.minor(at.st_dev):02x}:{at.st_ino}"
    fields = [line.split() for line in lines if "->" not in line]
    held = (field for field in fields if field[1] == "FLOCK" and field[3] == "READ" and field[5] == where)
    return tuple(sorted({int(field[4]) for field in held}))
