"""Crash points: a worker that dies, stops or is told to leave at an exact place, so that you can see what survives.

    HOLDFAST_TEST_CRASH=tool.entering:2 python -m holdfast.testing.crash app.py:app

runs a worker as `holdfast worker` does, until the second tool call is about to be entered; there the process kills
itself with SIGKILL, with no chance to clean up. Start another worker and watch it carry on. A plan names one or
more crashes, `point:nth=how`, separated by commas; `nth` counts from 1 (the default), `how` is `kill` (the
default), `stop` (SIGSTOP: a process that hangs and may come back by SIGCONT) or `leave` (SIGTERM: a deploy).

Put points of your own into the tools you test with `crash_point("bank.charged")`. It does nothing unless a plan is
installed, and only this module installs one: a production worker never reads the variable.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from holdfast.domain.errors import HoldfastError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "HOLDFAST_TEST_CRASH"
PASSED_VARIABLE = "HOLDFAST_TEST_PASSED"

POINTS = {
    "intent.before": "an intent is about to be handed to the journal",
    "intent.after": "an intent is committed",
    "model.sending": "a model request is about to be sent",
    "model.answered": "a model's whole answer has arrived",
    "tool.entering": "a tool's intent is committed and its body is about to be entered",
    "outcome.before": "a tool has returned or raised, and nothing of it is written",
    "outcome.after": "a tool's outcome is handed to the journal, perhaps not yet committed",
    "append.before_send": "a commit is about to be sent to the database",
    "append.after_commit": "a commit is done and nobody was told yet",
}
"""The points that every worker passes, and what is true there."""

How = Literal["kill", "stop", "leave"]
_SIGNALS: dict[str, signal.Signals] = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "leave": signal.SIGTERM}


@dataclass(frozen=True, slots=True)
class Crash:
    """What happens to the process when it passes `point` for the `nth` time (from 1)."""

    point: str
    nth: int = 1
    how: How = "kill"

    @classmethod
    def parse(cls, text: str) -> Crash:
        """Read `point`, `point:nth` or `point:nth=how`.

        Raises:
            UserError: it is none of these.
        """
        place, _, how = text.strip().partition("=")
        point, _, nth = place.partition(":")
        if not point or how not in {"", *_SIGNALS} or not (nth or "1").isdecimal() or int(nth or 1) < 1:
            raise UserError(
                f"'{text}' is not a crash: write point:nth or point:nth=how, where nth is 1 or more and how is "
                f"{', '.join(_SIGNALS)}. Points: {', '.join(POINTS)}, and those of your own."
            )
        return cls(point, int(nth or 1), cast("How", how or "kill"))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.point}:{self.nth}" + ("" if self.how == "kill" else f"={self.how}")


class CrashPlan:
    """The crashes of one process: the probe to give to a worker.

    Args:
        crashes: what shall happen, where.
        passed: a file that gets the name of each point that is passed, one a line. Read it after a run without
            crashes to see where one can be planned.
    """

    def __init__(self, crashes: Sequence[Crash] = (), *, passed: Path | None = None) -> None:
        self._crashes = {(crash.point, crash.nth): crash.how for crash in crashes}
        self._counts: Counter[str] = Counter()
        self._passed = None if passed is None else os.open(passed, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @classmethod
    def parse(cls, text: str, *, passed: Path | None = None) -> CrashPlan:
        """Read crashes separated by commas; none is a plan too.

        Raises:
            UserError: one of them cannot be read.
        """
        return cls([Crash.parse(part) for part in text.split(",") if part.strip()], passed=passed)

    @classmethod
    def from_environment(cls) -> CrashPlan:
        """The plan in HOLDFAST_TEST_CRASH; points that are passed go to the file named by HOLDFAST_TEST_PASSED.

        Raises:
            UserError: the plan cannot be read.
        """
        passed = os.environ.get(PASSED_VARIABLE)
        return cls.parse(os.environ.get(VARIABLE, ""), passed=Path(passed) if passed else None)

    def install(self) -> CrashPlan:
        """Make `crash_point` obey this plan, in this process and from now on. Returns the plan."""
        global _installed  # noqa: PLW0603 - a process crashes as a whole, so its plan is the process's
        _installed = self
        return self

    def __call__(self, point: str) -> None:
        """`point` is passed: do what is planned there. After a kill it does not return."""
        self._counts[point] += 1
        if self._passed is not None:
            os.write(self._passed, f"{point}\n".encode())
        how = self._crashes.get((point, self._counts[point]))
        if how is not None:
            os.kill(os.getpid(), _SIGNALS[how])


_installed: CrashPlan | None = None


def crash_point(point: str) -> None:
    """Name a place of your own where a plan may crash the process. Without an installed plan it does nothing."""
    if _installed is not None:
        _installed(point)


def main(arguments: Sequence[str]) -> int:
    """Run a worker of the application named by the one argument, with the plan of the environment."""
    from holdfast.cli.worker_process import serve
    from holdfast.settings import Settings

    if len(arguments) != 1:
        print("usage: HOLDFAST_TEST_CRASH=point:nth python -m holdfast.testing.crash app.py:app", file=sys.stderr)  # noqa: T201
        return 2
    try:
        # This file may run as __main__: the plan goes to the module that applications import from.
        from holdfast.testing.crash import CrashPlan as Plan

        serve(Settings.load(), arguments[0], probe=Plan.from_environment().install())
    except HoldfastError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command speaks on its streams
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
