"""`holdfast dev`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import watchfiles

from holdfast.cli.dev.child import Child
from holdfast.cli.dev.reach import Reach
from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import err
from holdfast.cli.settings import app_of
from holdfast.service import dev_login
from holdfast.wiring import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.settings import Settings

_ALSO_WATCHED = (".yaml", ".yml", ".toml")
"""Not a policy: workers look at it themselves, and keep the one in force where the new one is not in order."""
_HANDED_ON = ("data_dir", "database_url", "host", "port", "slots")
_GRACE_S = 5.0


def dev(settings: Settings, *, reload: bool, watch: list[Path]) -> ExitCode:
    """Keep an API and a worker running until SIGTERM or SIGINT.

    Raises:
        UserError: no application is named.
        OperatorError: the embedded database, or the key, cannot be had. An outside database is waited for.
    """
    return asyncio.run(_dev(settings, app_of(settings), watch if reload else []))


async def _dev(settings: Settings, app: str, watch: list[Path]) -> ExitCode:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Held here, so that the database does not go up and down with the processes that are started again.
    async with Installation.open(settings) as installation:
        environment = os.environ | _environment(settings)
        if settings.origin("env") == "default":
            environment["HOLDFAST_ENV"] = "dev"
        if installation.embedded:
            environment["HOLDFAST_DEV_LOGIN"] = "true"
        ready = Reach(installation, _say).wait
        children = [
            Child(name, [sys.executable, "-m", "holdfast.cli", name, app], environment, ready) for name in _PROCESSES
        ]
        _say(f"holdfast dev: {app} on http://{settings.host}:{settings.port}, data in {settings.data_dir}")
        await _say_how_to_get_in(installation)
        keeping = [asyncio.create_task(child.keep()) for child in children]
        try:
            await _restart_on_change(children, watch, settings.data_dir, stop)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*(child.end(settings.grace_s) for child in children))
    return ExitCode.OK


_PROCESSES = ("serve", "worker")


async def _restart_on_change(children: list[Child], watch: list[Path], data_dir: Path, stop: asyncio.Event) -> None:
    if not watch:
        await stop.wait()
        return
    wanted = watchfiles.PythonFilter(extra_extensions=_ALSO_WATCHED, ignore_paths=[data_dir])
    watching: Any = watchfiles.awatch(*watch, watch_filter=wanted, stop_event=stop)  # pyright: ignore[reportUnknownMemberType]
    async for changes in watching:
        names = sorted({_short(path) for _, path in changes})
        _say(f"changed: {', '.join(names)}. Starting again; runs under way are handed over.")
        for child in children:
            child.restart()


async def _say_how_to_get_in(installation: Installation) -> None:
    settings = installation.settings
    if not installation.embedded:
        _say("This is not the embedded database, so nobody is let in without a key: `holdfast keys create` makes one.")
        return
    async with installation.api() as services:
        access = await dev_login.prepare(services)
    _say(f"Log in, once: http://{settings.host}:{settings.port}/dev/login?ticket={access.ticket}")
    _say(f"Or as Ann, for a day: curl -H 'Authorization: Bearer {access.key}' ...")


def _short(path: str) -> str:
    """A path as the user would write it."""
    return os.path.relpath(path)


def _environment(settings: Settings) -> dict[str, str]:
    """What was given as flags, for the processes started here. Not as flags: a URL may hold a password."""
    given = {name: str(getattr(settings, name)) for name in _HANDED_ON if settings.origin(name).startswith("--")}
    if settings.origin("grace_s") == "default":
        given["grace_s"] = str(_GRACE_S)
    return {f"HOLDFAST_{name.upper()}": value for name, value in given.items()}


def _say(text: str) -> None:
    err().print(text, markup=False, style="bold")
