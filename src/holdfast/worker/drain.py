"""Ending a worker process: the first signal drains it, the second ends it at once.

A Python-level handler is used rather than the event loop's: it also runs while a tool blocks the loop. Should
the loop never come back, a timer thread ends the process, after giving back what it still holds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from holdfast.worker.worker import Worker

T = TypeVar("T")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FORCE_AFTER_S = 3.0
"""How long past its grace period a drain may take before the process is ended. The worker itself waits 2 s by then."""
END_AT_ONCE_S = 1.0
CLOSE_S = 10.0
"""How long the process may take to put away its connections once the worker has ended and every run is given back."""

_SIGNALLED = 128
_REST_ENDS_S = 0.5


class Ending:
    """What the signals have asked for so far.

    Args:
        worker: what is released by force.
        stop: told, in the event loop, how long what is under way may take.
        grace_s: how long that is at the first signal.
        code: the exit code of a process that has ended what was under way.
    """

    def __init__(
        self, worker: Worker, stop: Callable[[float], None], loop: asyncio.AbstractEventLoop, grace_s: float, code: int
    ) -> None:
        self._worker, self._stop, self._loop, self._grace_s, self._code = worker, stop, loop, grace_s, code
        self._timer: threading.Timer | None = None
        self._asked = 0

    def on_signal(self, number: int, _frame: Any) -> None:
        """Drain at the first signal, end at the second."""
        self._asked += 1
        grace_s = self._grace_s if self._asked == 1 else 0.0
        margin_s = FORCE_AFTER_S if self._asked == 1 else END_AT_ONCE_S
        self._loop.call_soon_threadsafe(self._stop, grace_s)
        # The first drain ended well if the process is gone by then; only the second signal is an exit code.
        self._arm(grace_s + margin_s, _SIGNALLED + number)

    def ended(self) -> None:
        """The worker has ended. Only connections are left to be put away: the process is not kept by one that hangs."""
        if self._asked:
            self._arm(CLOSE_S, self._code)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, after_s: float, code: int) -> None:
        self._disarm()
        self._timer = threading.Timer(after_s, self._force, (code,))
        self._timer.daemon = True
        self._timer.start()

    def _force(self, code: int) -> None:
        try:
            self._worker.force()
            logger("worker").error(
                LogEvent.WORKER_FORCED, advice="The event loop did not let the worker end. Its runs are released."
            )
        finally:
            end_process(code)


@contextmanager
def ended_by_signals(
    worker: Worker, grace_s: float, stop: Callable[[float], None] | None = None, *, code: int = 0
) -> Generator[None, None, None]:
    """SIGTERM and SIGINT end `worker` while the block runs. Only in the main thread, under an event loop.

    Args:
        worker: which is released by force, should nothing else help.
        grace_s: how long a drain may take.
        stop: what begins the drain, when it is not the worker's own `stop`.
        code: the exit code, should something keep the process for `CLOSE_S` after a signal ended the block.
    """
    ending = Ending(worker, stop or worker.stop, asyncio.get_running_loop(), grace_s, code)
    before = {number: signal.signal(number, ending.on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        ending.ended()
        for number, handler in before.items():
            signal.signal(number, handler)


def run_despite_the_rest(
    main: Coroutine[Any, Any, T],
    code: Callable[[T], int],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run `main` in an event loop of its own; end the process if something is left over that does not end when told to.

    A coroutine that swallows its cancellation would keep the loop waiting for good, a plain function in a thread the
    interpreter.

    Args:
        main: what to run.
        code: the exit code that tells of what it gave.
        loop_factory: makes the loop.
    """
    executor = ThreadPoolExecutor(thread_name_prefix="holdfast")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop().set_default_executor(executor)
        result = runner.run(main)
        # Threads with nothing to do end at once; only one that is at work is waited for.
        executor.shutdown(wait=False, cancel_futures=True)
        runner.run(_cancel_the_rest())
        if stuck := [*_stuck_tasks(runner.get_loop()), *_stuck_threads()]:
            logger("worker").warning(LogEvent.WORKER_FORCED, stuck=stuck, advice="Their runs were released.")
            end_process(code(result))
    return result


def _stuck_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks(loop)]


def _stuck_threads() -> list[str]:
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in others:
        thread.join(_REST_ENDS_S / len(others))
    return [thread.name for thread in others if thread.is_alive()]


async def _cancel_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=_REST_ENDS_S)


def end_process(code: int) -> None:
    """End the process now, whatever its threads do."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # broken or closed: no reason to stay
            stream.flush()
    os._exit(code)
