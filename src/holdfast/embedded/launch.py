"""Making sure that a supervisor and its server run. The caller already holds its share."""

import contextlib
import json
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from . import errors, locks
from .binaries import interpreter
from .errors import StartFailed
from .layout import Layout, make_directory, open_shared, read_state, unusable, write_state
from .plan import Options, make_plan
from .sockets import accepts

PAUSE_S = 0.01
# -I -S: nothing of the caller's environment, no site-packages; it starts in 20 ms.
BOOT = "import sys; sys.path.append(sys.argv[1]); from holdfast.embedded.supervisor import main; main()"


def running(layout: Layout) -> dict[str, Any] | None:
    """What runs on the directory, when a supervisor lives and its server accepts connections."""
    try:
        if not locks.held_exclusively(layout.supervisor_lock):
            return None
        state = read_state(layout)
        if state is None or state["state"] != "ready":
            return None
        return state if accepts(Path(state["plan"]["socket_dir"]), state["plan"]["port"]) else None
    except PermissionError as error:
        raise unusable(layout.root, error) from error


def ensure_running(
    layout: Layout, options: Options | None, deadline_s: float, given_up: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Return the published state of a server that runs, starting one when none does.

    `options` None: as the last server ran. Raises EmbeddedUnavailable's subclasses; StartFailed also
    when `deadline_s` (monotonic) passes.
    """
    state = running(layout)
    if state is not None:
        return state
    with locks.closing(open_shared(layout, layout.start_lock)) as start:
        while time.monotonic() < deadline_s and not given_up():
            if locks.try_lock(start, exclusive=True) and not locks.held_exclusively(layout.supervisor_lock):
                _launch(layout, options, deadline_s)
            state = running(layout)
            if state is not None:
                return state
            time.sleep(PAUSE_S)
    raise _too_late(layout)


def _too_late(layout: Layout) -> StartFailed:
    state = read_state(layout) or {}
    reason = state.get("error") or "it has not become ready in time; it may still be recovering from a crash"
    return StartFailed(f"The server on {layout.root} does not run: {reason}. Its log is {layout.log}.")


def _launch(layout: Layout, options: Options | None, deadline_s: float) -> None:
    """Start a supervisor and wait for its answer; the start lock is held."""
    last = read_state(layout)
    if options is None:
        options = Options(**last["plan"]["options"]) if last else Options({})
    plan = make_plan(layout, options)
    # What a dead supervisor published must not be taken for the new one's word; the options stay known.
    write_state(layout, {"state": "starting", "pid": None, "supervisor_pid": None, "plan": plan.to_json()})
    make_directory(layout.log.parent, (layout.root.stat().st_uid, layout.root.stat().st_gid))
    process = _spawn(layout)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout as answer:
        with process.stdin as asked:
            asked.write(json.dumps(plan.to_json()).encode())
        process.wait()
        _hear(answer, deadline_s)


def _spawn(layout: Layout) -> Any:
    import subprocess

    source = os.fspath(Path(__file__).parents[2])
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    log = open_shared(layout, layout.supervisor_log, os.O_WRONLY | os.O_APPEND)
    try:
        return subprocess.Popen(  # noqa: S603  (this Python, fixed arguments)
            [interpreter(), "-I", "-S", "-c", BOOT, source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                **kept,
            },  # secrets of the caller stay with the caller
            start_new_session=True,
        )
    except OSError as error:
        raise StartFailed(f"The supervisor could not be started: {error}.") from error
    finally:
        os.close(log)


def _hear(answer: IO[bytes], deadline_s: float) -> None:
    """Wait for the supervisor's word. Silence and its death are left to the caller's loop."""
    ready, _, _ = select.select([answer], [], [], max(0, deadline_s - time.monotonic()))
    said = os.read(answer.fileno(), 65536) if ready else b""
    if not said:
        return
    message: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        message = json.loads(said)
    if "error" in message:
        raise getattr(errors, message["error"])(*message["arguments"])
