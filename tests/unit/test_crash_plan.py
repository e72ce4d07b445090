"""Crash plans: how they are written, and that they do what they say to a real process."""

import os
import signal
import subprocess
import sys

import pytest

from holdfast.domain.errors import UserError
from holdfast.testing import POINTS, Crash, CrashPlan, crash_point
from holdfast.testing.crash import PASSED_VARIABLE, VARIABLE

DEPLOYED = """
import signal, sys
from holdfast.testing import CrashPlan, crash_point
signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
CrashPlan.from_environment().install()
for n in range(3):
    crash_point("mine")
    print(n, flush=True)
"""


def run(plan: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {VARIABLE: plan} | more
    return subprocess.run(
        [sys.executable, "-c", DEPLOYED], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("text", "crash"),
    [
        ("tool.entering", Crash("tool.entering")),
        (" tool.entering:2 ", Crash("tool.entering", 2)),
        ("mine:3=stop", Crash("mine", 3, "stop")),
        ("mine=leave", Crash("mine", 1, "leave")),
    ],
)
def test_it_is_read_as_it_is_written(text, crash):
    assert Crash.parse(text) == crash
    assert Crash.parse(str(crash)) == crash


@pytest.mark.parametrize("text", ["", ":2", "a:0", "a:-1", "a:x", "a=explode", "a:1=kill=kill"])
def test_a_mistake_says_what_to_write(text):
    with pytest.raises(UserError, match=r"point:nth.*tool\.entering"):
        Crash.parse(text)


@pytest.mark.parametrize(
    ("plan", "code", "printed"),
    [
        ("", 0, ["0", "1", "2"]),
        ("mine:2", -signal.SIGKILL, ["0"]),
        ("mine:3=leave", 15, ["0", "1"]),
        ("other:1, mine:1", -signal.SIGKILL, []),
        ("mine:4", 0, ["0", "1", "2"]),
    ],
)
def test_the_process_ends_exactly_there(plan, code, printed):
    ended = run(plan)
    assert (ended.returncode, ended.stdout.split()) == (code, printed)


def test_a_stopped_process_goes_on_when_it_is_continued():
    process = subprocess.Popen([sys.executable, "-c", DEPLOYED], env=os.environ | {VARIABLE: "mine:2=stop"}, text=True)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0


def test_the_points_that_are_passed_are_written_down(tmp_path):
    run("mine:2", **{PASSED_VARIABLE: str(tmp_path / "passed")})
    assert (tmp_path / "passed").read_text().split() == ["mine", "mine"]


def test_without_an_installed_plan_a_point_is_passed_by():
    crash_point("mine")
    CrashPlan([Crash("mine")])
    crash_point("mine")


def test_a_worker_with_a_plan_that_cannot_be_read_does_not_start():
    ended = subprocess.run(
        [sys.executable, "-m", "holdfast.testing.crash", "app.py:app"],
        env=os.environ | {VARIABLE: "mine:never"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert "'mine:never' is not a crash" in ended.stderr


def test_every_point_says_what_is_true_there():
    assert all(POINTS.values())
