"""`python -m bench [--only NAME ...] [--quick]`: measure, print the table, write `bench/results.json`.

A bar that is missed is printed plainly and does not fail the command: figures are for people to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bench.place import a_place
from bench.row import Row
from holdfast.cli.process import settle_heap
from holdfast.observe.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).with_name("results.json")
PARTS = (
    "cpu", "over_http", "governed", "budgets", "commits", "appends", "pickup", "takeover", "halt", "parked", "resume",
    "startup", "tenancy", "verdicts",
)  # fmt: skip
"""Modules with `rows(place, quick=...)`, in the order of the table."""


async def measure(parts: Sequence[str], *, quick: bool, console: Console) -> list[Row]:
    """The rows of these parts, each measured on an installation of its own."""
    found: list[Row] = []
    for part in parts:
        console.print(f"[dim]measuring {part} …[/dim]")
        module = import_module(f"bench.{part}")
        settle_heap()  # as a worker's process does once all is imported, here for what is measured beside it too
        async with a_place() as place:
            found += await module.rows(place, quick=quick)
    return found


def table_of(rows: Sequence[Row]) -> Table:
    """The rows as people read them."""
    table = Table(title="What Holdfast costs", title_justify="left")
    for name in ("", "bar", "measured", "met", ""):
        table.add_column(name, justify="right" if name in {"bar", "measured"} else "left", no_wrap=name != "")
    for row in rows:
        met = {True: "[green]yes[/green]", False: "[bold red]NO[/bold red]", None: ""}[row.met]
        table.add_row(row.name, row.bar_text, row.measured_text, met, row.note)
    return table


def write(rows: Sequence[Row], path: Path, *, quick: bool) -> None:
    """The rows with all their details, beside those of other parts measured before."""
    before: dict[str, Any] = orjson.loads(path.read_bytes())["rows"] if path.exists() else {}
    results = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "rows": before | {row.name: {**row.as_json(), "quick": quick} for row in rows},
    }
    path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What Holdfast costs.")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure only this part; may be repeated")
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds in all: shows that it runs, not what it costs"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    console = Console()
    set_up_logs("warning", "json")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure(given.only or PARTS, quick=given.quick, console=console))
    write(rows, given.results, quick=given.quick)
    console.print(table_of(rows))
    missed = [row.name for row in rows if row.met is False]
    console.print(f"[bold red]{len(missed)} of {len(rows)} below the bar[/bold red]" if missed else "every bar is met")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
