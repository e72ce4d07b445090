"""`python -m bench.peers [--quick]`: Holdfast, DBOS and LangGraph with PostgresSaver on one server, one after another.

Its row joins the others in `bench/results.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import uvloop
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console
from rich.table import Table

from bench.__main__ import RESULTS, write
from bench.meter import commits, server_cpu_s
from bench.peers import ours
from bench.peers.environments import PEERS, interpreter
from bench.peers.figure import Figure
from bench.place import a_place
from bench.row import Row
from bench.workload import TOOLS
from holdfast.observe.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.place import Place

AT_ONCE = 64
BAR = 30


async def measure(console: Console, *, quick: bool) -> list[Figure]:
    """Every engine's figures. Ours are taken before, between and after the peers, and the median is reported: a shared
    machine is now faster, now slower."""
    runs, at_once, steps, seconds = (2, 2, 5, 0.3) if quick else (AT_ONCE, AT_ONCE, 20, 2.0)
    agents, no_ops, found = list[Figure](), list[Figure](), list[Figure]()
    async with a_place() as place:
        for peer in (None, *PEERS):
            if peer is not None:
                console.print(f"[dim]{peer} …[/dim]")
                found += await asyncio.to_thread(_peer, place, peer, [TOOLS, runs, at_once, steps])
            console.print("[dim]holdfast …[/dim]")
            agents.append(await ours.agent(place, runs, at_once))
            no_ops.append(await ours.no_op(place, seconds))
    return [_middle(agents), _middle(no_ops), *found]


def _middle(figures: Sequence[Figure]) -> Figure:
    return sorted(figures, key=lambda figure: figure.steps_per_s)[len(figures) // 2]


def _peer(place: Place, peer: str, numbers: Sequence[int]) -> list[Figure]:
    """A peer's figures. Its own database, so that its transactions can be counted."""
    python = interpreter(peer)
    place.execute(f"create database peer_{peer}")
    url = _url(place.admin_url, f"peer_{peer}")
    cpu = server_cpu_s(place.server_dir)
    script = Path(__file__).with_name(f"with_{peer}.py")
    said = subprocess.run(
        [python, script, url, *map(str, numbers)], check=True, stdout=subprocess.PIPE, text=True, timeout=1200
    )
    figures: list[dict[str, Any]] = [orjson.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]
    done = sum(figure["steps"] for figure in figures)
    # Both workloads together: sessions report their transactions when they end.
    server_ms, committed = 1000 * (server_cpu_s(place.server_dir) - cpu) / done, commits(url) / done
    return [
        Figure(peer, figure["name"], figure["steps_per_s"], figure["cpu_ms_per_step"], server_ms, committed)
        for figure in figures
    ]


def _url(admin_url: str, database: str) -> str:
    parts = conninfo_to_dict(admin_url)
    host, port = parts.get("host", ""), parts.get("port", "")
    if str(host).startswith("/"):
        return f"postgresql://{parts['user']}@/{database}?host={host}" + (f"&port={port}" if port else "")
    secret = f":{parts['password']}" if parts.get("password") else ""
    return f"postgresql://{parts['user']}{secret}@{host}:{port}/{database}"


def ratio_row(figures: Sequence[Figure]) -> Row:
    """The row of the design's table that needs a peer."""
    per_s = {figure.engine: figure.steps_per_s for figure in figures if figure.workload == "no-op"}
    return Row(
        name=f"no-op steps per second at the journal ÷ DBOS, {AT_ONCE} runs",
        measured=per_s["holdfast"] / per_s["dbos"],
        bar=BAR,
        kind="at least",
        details={"figures": [asdict(figure) for figure in figures]},
    )


def table_of(figures: Sequence[Figure]) -> Table:
    """The figures, with ratios to ours."""
    table = Table(title="The same workload on other engines", title_justify="left")
    for name in ("workload", "engine", "steps/s", "ours ÷ it", "CPU ms/step", "it ÷ ours", "server ms/step", "tx/step"):
        table.add_column(name, justify="left" if name in {"workload", "engine"} else "right")
    own = {figure.workload: figure for figure in figures if figure.engine == "holdfast"}
    for figure in sorted(figures, key=lambda figure: (figure.workload, figure.engine != "holdfast")):
        mine = own[figure.workload]
        table.add_row(
            figure.workload,
            figure.engine,
            f"{figure.steps_per_s:,.0f}",
            f"{mine.steps_per_s / figure.steps_per_s:.1f}",
            f"{figure.cpu_ms_per_step:.2f}",
            f"{figure.cpu_ms_per_step / mine.cpu_ms_per_step:.1f}",
            "" if figure.server_ms_per_step is None else f"{figure.server_ms_per_step:.2f}",
            "" if figure.commits_per_step is None else f"{figure.commits_per_step:.2f}",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="The same workload on other engines.")
    parser.add_argument("--quick", action="store_true", help="shows that it runs, not what it costs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    console = Console()
    set_up_logs("warning", "json")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(console, quick=given.quick))
    row = ratio_row(figures)
    write([row], given.results, quick=given.quick)
    console.print(table_of(figures))
    met = "met" if row.met else "[bold red]NOT met[/bold red]"
    console.print(f"{row.name}: {row.measured_text} (bar {row.bar_text}: {met})")
    console.print("Server CPU and transactions of a peer are those of both its workloads together.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
