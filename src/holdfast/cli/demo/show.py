"""How a demo is shown: a directory of its own, the story with its seconds, the promises, the last line."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from holdfast.cli.demo.promises import Promise
from holdfast.cli.demo.stage import DemoFailed, Stage
from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import out, print_json
from holdfast.embedded import until_stopped


def show(play: Callable[[Stage, Teller], Awaitable[list[Promise]]], *, keep: bool, as_json: bool) -> ExitCode:
    """Play a demo in a directory of its own, print what happened, and say whether all was as promised."""
    directory = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    directory.chmod(0o755)  # as root, PostgreSQL runs as another user, who has to come through here
    teller = Teller(quiet=as_json)
    promises: list[Promise] = []
    failure = ""
    try:
        promises = asyncio.run(_awaited(play(Stage(directory), teller)))
        failure = "\n".join(f"Not as promised: {one.promise}. Found: {one.found}." for one in promises if not one.kept)
    except Exception as error:  # noqa: BLE001 - whatever it is, the demo did not show what it promises
        failure = str(error) if isinstance(error, DemoFailed) else f"{type(error).__name__}: {error}"
    if not keep and not failure:
        # The server ends on its own time, and what it still writes would keep the directory from being removed.
        until_stopped(directory / "data" / "pg")
        shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        print_json(
            {
                "ok": not failure,
                "failure": failure or None,
                "seconds": round(teller.elapsed_s, 1),
                "directory": str(directory) if directory.exists() else None,
                "promises": [asdict(one) for one in promises],
            }
        )
    else:
        teller.end(promises, failure, directory)
    return ExitCode.FAILED if failure else ExitCode.OK


class Teller:
    """Who tells it."""

    def __init__(self, *, quiet: bool) -> None:
        self._began = time.monotonic()
        self._out = out()
        self._out.quiet = quiet

    @property
    def elapsed_s(self) -> float:
        """Seconds since its beginning."""
        return time.monotonic() - self._began

    def say(self, text: str, style: str = "") -> None:
        """A line of the story, with the seconds since its beginning."""
        self._out.print(f"{self.elapsed_s:5.1f} s  {text}", markup=False, style=style or None)

    def end(self, promises: list[Promise], failure: str, directory: Path) -> None:
        """What was promised and what was found, and the last line."""
        self._out.print()
        for one in promises:
            self._out.print(f"{'ok' if one.kept else 'NOT':>7}  {one.promise} ({one.found})", markup=False)
        if failure:
            self._out.print(f"\n{failure}\nDatabase, ledger and logs are in {directory}.", markup=False, style="red")
        elif directory.exists():
            self._out.print(f"\nDatabase, ledger and logs are in {directory}.", markup=False)
        self._out.print("\ndemo: FAILED" if failure else "\ndemo: ok", style="bold")


async def _awaited(playing: Awaitable[list[Promise]]) -> list[Promise]:
    return await playing
