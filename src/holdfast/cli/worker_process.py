"""`holdfast worker`: a process that is a worker and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.process import new_loop, settle_heap
from holdfast.observe.logs import set_up_logs
from holdfast.worker.drain import ended_by_signals, run_despite_the_rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.app import App
    from holdfast.settings import Settings


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
    run_despite_the_rest(_serve(settings, served, probe), lambda _: 0, new_loop)


async def _serve(settings: Settings, app: App, probe: Callable[[str], None] | None) -> None:
    from holdfast.wiring import open_worker

    async with open_worker(settings, app, probe=probe) as worker:
        settle_heap()
        with ended_by_signals(worker, settings.grace_s):
            await worker.run()
