"""One run from the command line: asked for, carried by a worker in this process, watched to its end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import typer

from holdfast.cli.approvals.deciding import limits_of
from holdfast.cli.exits import ExitCode
from holdfast.cli.run.input import read_input
from holdfast.cli.run.outcome import print_outcome
from holdfast.cli.run.watch import Watching
from holdfast.cli.screen import err, print_json
from holdfast.cli.services import as_caller, run_id
from holdfast.loading import load_app
from holdfast.observe.logs import set_up_logs
from holdfast.service.get_run import get_run
from holdfast.service.start_run import start_run
from holdfast.settings import DEFAULT
from holdfast.wiring import Installation
from holdfast.worker.drain import ended_by_signals, run_despite_the_rest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence

    from holdfast.app import App
    from holdfast.service.services import Services
    from holdfast.service.views import RunView
    from holdfast.settings import Settings
    from holdfast.worker.worker import Worker

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    app: str
    task: str | None
    input: str | None
    session: UUID | None = None
    key: str | None = None
    resume: str | None = None
    limits: Sequence[str] = ()


def run(settings: Settings, request: Request, *, detach: bool, ask: bool | None, as_json: bool) -> ExitCode:
    """Start the run, or take up the one to resume; carry it in this process unless it is to be left to workers.

    Raises:
        UserError: the app cannot be loaded.
        RequestError: there is no such task or run, or the input does not fit.
        OperatorError: the database cannot be had or refuses.
    """
    if (request.resume is None) == (request.task is None or request.input is None):
        raise typer.BadParameter("Give a task and its input, or --resume RUN.", param_hint="TASK INPUT")
    # A run is told here by its own events; of the worker's log only what is wrong matters.
    set_up_logs("warning" if settings.origin("log_level") == "default" else settings.log_level, settings.log_format)
    app = load_app(request.app)
    if settings.database_url is None and settings.origin("env") == DEFAULT:
        settings = settings.model_copy(update={"env": "dev"})  # a database of one's own is no production
    return run_despite_the_rest(_run(settings, app, request, detach=detach, ask=ask, as_json=as_json), int)


async def _run(
    settings: Settings, app: App, request: Request, *, detach: bool, ask: bool | None, as_json: bool
) -> ExitCode:
    async with Installation.open(settings) as installation, installation.api(app) as opened:
        services = await as_caller(opened, settings)
        if detach:
            view = await _asked(services, app, request)
            print_json(view) if as_json else print(view.id)  # noqa: T201 - the id is the command's output
            return ExitCode.OK
        # The worker first: where there can be none, nothing is stored.
        async with installation.worker(app, lenient=True) as worker:
            with _interrupts(worker, settings) as interrupted:
                view = await _unless(interrupted, _asked(services, app, request))
                if view is None:
                    _say("Interrupted. `holdfast runs ls` shows whether the run is stored.")
                    return ExitCode.INTERRUPTED
                watching = Watching(services, view, ask=ask, quiet=as_json)
                watching.teller.say(f"run {view.id}")
                async with _working(worker) as work:
                    waiting = await _unless(interrupted, _first(work, watching))
                    if waiting is None:
                        _say(
                            f"Interrupted. The run is kept; `holdfast run {request.app} --resume {view.id}` resumes it."
                        )
                        return ExitCode.INTERRUPTED
                    return await print_outcome(services, watching, waiting, app=request.app, as_json=as_json)


def _say(text: str) -> None:
    err().print(text, markup=False)


async def _asked(services: Services, app: App, request: Request) -> RunView:
    if request.resume is not None:
        return await get_run(services, services.caller, await run_id(services, request.resume))
    assert request.task is not None
    assert request.input is not None
    value = read_input(app[request.task], request.input)
    return await start_run(
        services,
        services.caller,
        request.task,
        value,
        session=request.session,
        idempotency_key=request.key,
        limits=limits_of(request.limits),
    )


@contextmanager
def _interrupts(worker: Worker, settings: Settings) -> Generator[asyncio.Event]:
    """Set by SIGINT and SIGTERM. Not a cancellation: one that comes with a reply of the database may be swallowed."""
    interrupted = asyncio.Event()
    with ended_by_signals(worker, settings.grace_s, lambda _: interrupted.set(), code=ExitCode.INTERRUPTED):
        yield interrupted


@asynccontextmanager
async def _working(worker: Worker) -> AsyncGenerator[asyncio.Task[None], None]:
    """The worker at work; drained at the end, so that what it does not finish goes on elsewhere at once."""
    work = asyncio.create_task(worker.run())
    try:
        yield work
    finally:
        worker.stop()
        await asyncio.gather(work, return_exceptions=True)


async def _unless(interrupted: asyncio.Event, doing: Coroutine[Any, Any, T]) -> T | None:
    """What it gives, or None when interrupted first."""
    done, waiting = asyncio.create_task(doing), asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait({done, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else None
    finally:
        waiting.cancel()
        done.cancel()


async def _first(work: asyncio.Task[None], watching: Watching) -> bool:
    """What the watch gives; what the worker raises, where it ends first."""
    watch = asyncio.create_task(watching.to_the_end())
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not watch.done():
            await work
            raise AssertionError("the worker stopped unasked")
        return await watch
    finally:
        watch.cancel()
