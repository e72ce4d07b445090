"""Ending a worker process: the first signal drains it, the second ends it at once.

A Python-level handler is used rather than the event loop's: it also runs while a tool blocks the loop. Should
the loop never come back, a timer thread ends the process, after giving back what it still holds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

    from holdfast.worker.worker import Worker

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FORCE_AFTER_S = 3.0
"""How long past its grace period a drain may take before the process is ended. The worker itself waits 2 s by then."""
END_AT_ONCE_S = 1.0

_SIGNALLED = 128


class Ending:
    """What the signals have asked for so far."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop, grace_s: float) -> None:
        self._worker, self._loop, self._grace_s = worker, loop, grace_s
        self._timer: threading.Timer | None = None
        self._asked = 0

    def on_signal(self, number: int, _frame: Any) -> None:
        """Drain at the first signal, end at the second."""
        self._asked += 1
        grace_s = self._grace_s if self._asked == 1 else 0.0
        margin_s = FORCE_AFTER_S if self._asked == 1 else END_AT_ONCE_S
        self._loop.call_soon_threadsafe(self._worker.stop, grace_s)
        # The first drain ended well if the process is gone by then; only the second signal is an exit code.
        self._arm(grace_s + margin_s, _SIGNALLED + number)

    def disarm(self) -> None:
        """The worker has ended by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, after_s: float, code: int) -> None:
        self.disarm()
        self._timer = threading.Timer(after_s, self._force, (code,))
        self._timer.daemon = True
        self._timer.start()

    def _force(self, code: int) -> None:
        self._worker.force()
        logger("worker").error(
            LogEvent.WORKER_FORCED, advice="The event loop did not let the worker end. Its runs are released."
        )
        end_process(code)


@contextmanager
def ended_by_signals(worker: Worker, loop: asyncio.AbstractEventLoop, grace_s: float) -> Generator[Ending, None, None]:
    """SIGTERM and SIGINT end `worker` while the block runs. Only in the main thread."""
    ending = Ending(worker, loop, grace_s)
    before = {number: signal.signal(number, ending.on_signal) for number in SIGNALS}
    try:
        yield ending
    finally:
        ending.disarm()
        for number, handler in before.items():
            signal.signal(number, handler)


def end_process(code: int) -> None:
    """End the process now, whatever its threads do."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # broken or closed: no reason to stay
            stream.flush()
    os._exit(code)
