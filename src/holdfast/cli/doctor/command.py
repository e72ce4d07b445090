"""`holdfast doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from holdfast.cli.doctor.check import Check, Level
from holdfast.cli.doctor.database import check_database
from holdfast.cli.doctor.here import check_key, check_port, check_versions
from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import out, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.settings import Settings

_STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}


def doctor(settings: Settings, *, as_json: bool) -> ExitCode:
    """Run every check and print what was found, each with what to do."""
    checks: list[Check] = []
    for check in _checks(settings):
        checks.append(check)
        if not as_json:
            _print(check)
    healthy = all(check.level is not Level.PROBLEM for check in checks)
    if as_json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    return ExitCode.OK if healthy else ExitCode.OPERATOR_ERROR


def _checks(settings: Settings) -> Iterator[Check]:
    yield check_versions()
    yield check_key(settings)
    yield from check_database(settings)
    yield check_port(settings)


def _print(check: Check) -> None:
    line = Text(f"{check.level:8}", style=_STYLES[check.level])
    line.append(f"{check.name}: ", style="bold")
    line.append(check.found, style="none")
    out().print(line)
    if check.advice:
        out().print(Text(f"        {check.advice}"))
