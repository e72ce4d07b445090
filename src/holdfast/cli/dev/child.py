"""A process that is kept running, and started again when it is asked to or ends by itself."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import err

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

_AGAIN_S = 1.0
_OPERATOR_FIRST_S, _OPERATOR_MOST_S = 2, 30
_KILL_AFTER_S = 5.0
_PR_SET_PDEATHSIG = 1
_WAIT_FOR_A_CHANGE = frozenset({ExitCode.USAGE, ExitCode.USER_ERROR})


class Child:
    """One process.

    Args:
        name: for what is said about it.
        command: its command line.
        environment: its environment.
        ready: returns once what it needs from outside is there.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._name, self._command, self._environment, self._ready = name, command, environment, ready
        self._process: asyncio.subprocess.Process | None = None
        self._again = asyncio.Event()
        self._pause_s = _OPERATOR_FIRST_S

    async def keep(self) -> None:
        """Keep it running until cancelled."""
        while True:
            await self._ready()
            self._again.clear()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                process_group=0,  # Ctrl-C comes to the parent alone, which ends its children in order
                preexec_fn=partial(_end_with_parent, os.getpid()),
            )
            code = await self._process.wait()
            if not self._again.is_set():
                await self._ended_by_itself(code)

    def restart(self) -> None:
        """Start it again, with the code as it is now."""
        self._again.set()
        self._pause_s = _OPERATOR_FIRST_S
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def end(self, grace_s: float) -> None:
        """Ask it to end; kill it where it has not after its grace."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(grace_s + _KILL_AFTER_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _ended_by_itself(self, code: int) -> None:
        if code in _WAIT_FOR_A_CHANGE:
            self._say("waits for a change")
            await self._again.wait()
            return
        if code == ExitCode.OPERATOR_ERROR:
            # No file changes when a port becomes free or somebody migrates: try, ever less often.
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _OPERATOR_MOST_S)
            self._say(f"tries again in {pause_s} s, or on a change")
        else:
            pause_s = _AGAIN_S
            self._say(f"ended with {code}; starting again")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._again.wait()

    def _say(self, text: str) -> None:
        err().print(f"{self._name}: {text}", markup=False, style="bold")


def _end_with_parent(parent: int) -> None:
    """Have the kernel end this process should its parent be killed (Linux; elsewhere it would go on alone)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # killed before the line above
            os._exit(1)
