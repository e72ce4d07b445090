"""A process that is kept running, and started again when it is asked to or ends by itself."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import err

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_AGAIN_S = 1.0
_KILL_AFTER_S = 5.0
_PR_SET_PDEATHSIG = 1
_WAIT_FOR_A_CHANGE = frozenset({ExitCode.USAGE, ExitCode.USER_ERROR, ExitCode.OPERATOR_ERROR})


class Child:
    """One process.

    Args:
        name: for what is said about it.
        command: its command line.
        environment: its environment.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name, self._command, self._environment = name, command, environment
        self._process: asyncio.subprocess.Process | None = None
        self._again = asyncio.Event()

    async def keep(self) -> None:
        """Keep it running until cancelled."""
        while True:
            self._again.clear()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                process_group=0,  # Ctrl-C comes to the parent alone, which ends its children in order
                preexec_fn=_end_with_parent,
            )
            code = await self._process.wait()
            if not self._again.is_set():
                await self._ended_by_itself(code)

    def restart(self) -> None:
        """Start it again, with the code as it is now."""
        self._again.set()
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
        self._say(f"ended with {code}; starting again")
        with suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_S):
                await self._again.wait()

    def _say(self, text: str) -> None:
        err().print(f"{self._name}: {text}", markup=False, style="bold")


def _end_with_parent() -> None:
    """Have the kernel end this process should its parent be killed (Linux; elsewhere it would go on alone)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
