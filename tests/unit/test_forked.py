"""A program that `support.forked` forks is one that was executed, as far as it can tell and anybody can see."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import forked

TOLD = """
import asyncio, contextvars, gc, json, locale, logging, os, random, signal, sys, threading, time
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "main": sorted(vars(sys.modules["__main__"])), "name": __name__,
    "environment": dict(os.environ), "folder": os.getcwd(), "files": sorted(os.listdir("/proc/self/fd")),
    "threads": threading.active_count(), "loop": asyncio.get_event_loop_policy()._local._loop,
    "context": len(contextvars.copy_context()), "loggers": logging.root.level, "handlers": logging.root.handlers,
    "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "wakeup": signal.set_wakeup_fd(-1),
    "streams": [[s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.isatty()] for s in
                (sys.stdin, sys.stdout, sys.stderr)],
    "group": os.getpgrp(), "session": os.getsid(0), "zone": time.tzname, "locale": locale.getlocale(),
    "holdfast": sorted(name for name in sys.modules if name.partition(".")[0] == "holdfast"),
    "gc": gc.isenabled() and gc.get_threshold(), "flags": str(sys.flags), "limit": sys.getrecursionlimit(),
}))
"""
DRAWN = """
import os, random, secrets, uuid, uuid_utils
print(random.random(), secrets.token_hex(8), uuid.uuid4(), uuid_utils.uuid4(), str(uuid_utils.uuid7())[-12:])
"""
STAYS = "import sys, time; print('here', flush=True); time.sleep(600)"


@pytest.fixture
def environment():
    return {**os.environ, "HOLDFAST_ODD": "grün \udcff", "PYTHONPATH": "/nowhere:relative"}


def start(code, *arguments, **options):
    return forked.Forked([sys.executable, "-c", code, *arguments], **{"env": dict(os.environ), **options})


def outcome(kind, command, **options):
    with kind([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def both(*command, **options):
    return [outcome(kind, command, **options) for kind in (subprocess.Popen, forked.Forked)]


def test_it_is_told_what_an_executed_one_is_told(environment, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to("there")
    executed, forked = both("-c", TOLD, "an", "argument", env=environment, cwd=tmp_path / "here")
    assert executed[0] == 0, executed
    assert json.loads(forked[1]) == json.loads(executed[1])
    assert forked == executed


def test_a_module_is_run_as_the_interpreter_runs_it(tmp_path):
    (tmp_path / "told.py").write_text(TOLD + "print(__file__, __spec__.name, __package__, sys.modules['__main__'])")
    executed, forked = both("-m", "told", "x", env=dict(os.environ), cwd=tmp_path)
    assert executed[0] == 0, executed
    assert forked == executed


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["version"],
        ["config", "show"],
        ["nonsense"],
        ["runs", "ls", "--json"],
        ["--debug", "run", "no.py", "x"],
    ],
)
def test_a_command_says_the_same_and_ends_the_same(command, tmp_path):
    executed, forked = both(
        "-m", "holdfast.cli", *command, env={**os.environ, "HOLDFAST_TENANT": "Not One"}, cwd=tmp_path
    )
    assert forked == executed


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(3)", "sys.exit('told')", "pass", "os._exit(9)", "raise KeyboardInterrupt", "os.abort()",
        "os.kill(os.getpid(), signal.SIGTERM)", "atexit.register(print, 'last')", "signal.raise_signal(signal.SIGINT)",
        "threading.Thread(target=lambda: (time.sleep(0.1), print('after'))).start()", "print(open(3))",
        "os.write(1, b'x'); sys.stdout.write('kept'); sys.stderr.write('said')",
    ],
)  # fmt: skip
def test_it_ends_as_an_executed_one(end, tmp_path):
    code = f"import atexit, os, signal, sys, threading, time\n{end}"
    (code_a, out_a, err_a), (code_b, out_b, err_b) = both("-c", code, env=dict(os.environ), cwd=tmp_path)
    assert (code_b, out_b) == (code_a, out_a)
    assert err_b.splitlines()[-1:] == err_a.splitlines()[-1:]  # a trace back also shows who called


def test_what_is_random_is_so_in_each():
    drawn = [outcome(forked.Forked, ["-c", DRAWN], env=dict(os.environ))[1].split() for _ in range(3)]
    assert all(len(set(values)) == 3 for values in zip(*drawn, strict=True)), drawn


def test_it_reads_and_is_read():
    with start("print(input().upper())", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate("told\n", timeout=60) == ("TOLD\n", None)
    assert process.returncode == 0


def test_it_is_stopped_continued_and_killed():
    with start(STAYS, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: state(process.pid) == "T")
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: state(process.pid) == "S")
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        assert process.poll() == -signal.SIGKILL
        process.kill()  # nobody: as with `Popen`
    assert state(process.pid) is None


def test_it_keeps_its_pid_until_it_is_waited_for():
    process = start("pass")
    wait_for(lambda: state(process.pid) == "Z")
    assert process.wait() == 0
    assert state(process.pid) is None


def test_a_folder_that_is_not_there_is_told_as_by_popen(tmp_path):
    for kind in (subprocess.Popen, forked.Forked):
        with pytest.raises(FileNotFoundError):
            kind([sys.executable, "-c", "pass"], cwd=tmp_path / "nowhere", env={})


@pytest.mark.parametrize(
    ("changed", "is_forked"),
    [
        ({}, True), ({"HOLDFAST_KEY": "x", "BANK_URL": "x", "PATH": "/", "PYTHONPATH": "x"}, True),
        ({"PYTHONWARNINGS": "error"}, False), ({"LC_ALL": "C"}, False), ({"TZ": "Asia/Tokyo"}, False),
        ({"OPENAI_LOG": "debug"}, False),
    ],
)  # fmt: skip
def test_what_a_library_may_read_while_it_is_imported_makes_it_an_exec(changed, is_forked, monkeypatch):
    monkeypatch.setattr(forked, "_EVERY_START_IS_AN_EXEC", False)
    with forked.start([sys.executable, "-c", "pass"], env={**os.environ, **changed}) as process:
        assert isinstance(process, forked.Forked) == is_forked
    assert process.returncode == 0


def test_nothing_outlives_tests_that_are_killed(tmp_path):
    code = (
        "import os, sys; from support import forked; forked._LIBRARIES = ''\n"
        f"started = forked.Forked([sys.executable, '-c', {STAYS!r}], env=dict(os.environ), stdout=-3)\n"
        "print(started.pid, forked._server._process.pid, flush=True); input()"
    )
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", code]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": tests}, **options) as testing:
        pids = [int(pid) for pid in testing.stdout.readline().split()]
        assert all(map(state, pids))
        assert len(pids) == 2
        testing.kill()
        wait_for(lambda: {state(pid) for pid in pids} <= {None, "Z"})


def test_nothing_outlives_its_server(tmp_path):
    code = (
        "import os, sys; from support import forked; forked._LIBRARIES = ''\n"
        f"started = forked.Forked([sys.executable, '-c', {STAYS!r}], env=dict(os.environ), stdout=-3)\n"
        "print(started.pid, flush=True)\n"
        "forked._server._process.kill()\n"
        "started._ended(None)"
    )
    tests = str(Path(__file__).parents[1])
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": tests}, cwd=tmp_path, timeout=60, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert state(int(ended.stdout)) in {None, "Z"}, ended.stderr


def state(pid):
    """One letter; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def wait_for(met):
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)
