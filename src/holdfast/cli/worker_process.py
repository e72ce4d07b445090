"""`holdfast worker`: a process that is a worker and nothing else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from holdfast.observe.logs import logger, set_up_logs
from holdfast.observe.names import LogEvent
from holdfast.worker.drain import end_process, ended_by_signals
from holdfast.worker.heap import settle_heap

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.app import App
    from holdfast.settings import Settings

_THREADS_END_S = 0.5


def serve(settings: Settings, app: App | str, *, probe: Callable[[str], None] | None = None) -> None:
    """Run a worker until it is told to stop by SIGTERM or SIGINT.

    Args:
        settings: of this process; logs are set up by them.
        app: the application, or a reference to it as `load_app` takes it.
        probe: told each named point that the worker passes; tests crash there.

    Raises:
        UserError: the app cannot be loaded.
        OperatorError: the database cannot be had, is of another version, or refuses.
    """
    from holdfast.loading import load_app

    set_up_logs(settings.log_level, settings.log_format)
    served = load_app(app) if isinstance(app, str) else app
    executor = ThreadPoolExecutor(thread_name_prefix="holdfast")
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.get_loop().set_default_executor(executor)
        runner.run(_serve(settings, served, probe))
        # Threads with nothing to do end at once; only one that is at work is waited for.
        executor.shutdown(wait=False, cancel_futures=True)
        _end_despite_threads()


async def _serve(settings: Settings, app: App, probe: Callable[[str], None] | None) -> None:
    from holdfast.wiring import open_worker

    async with open_worker(settings, app, probe=probe) as worker:
        settle_heap()
        with ended_by_signals(worker, asyncio.get_running_loop(), settings.grace_s):
            await worker.run()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _end_despite_threads() -> None:
    """A sync tool that outlived the drain sits in a thread, for which the interpreter would wait."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    waited_for = [thread for thread in others if not thread.daemon]
    for thread in waited_for:
        thread.join(_THREADS_END_S / len(waited_for))
    stuck = [thread.name for thread in waited_for if thread.is_alive()]
    if stuck:
        logger("worker").warning(LogEvent.WORKER_FORCED, threads=stuck, advice="Their runs were released.")
        end_process(0)
