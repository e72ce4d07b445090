"""The same figures of Holdfast, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.appends import no_op_steps_per_s
from bench.meter import commits, cpu_s, spent
from bench.peers.figure import Figure
from bench.place import queue_runs, work_off
from bench.workload import STEPS, chain_agent
from holdfast.app import App

if TYPE_CHECKING:
    from bench.place import Place


async def agent(place: Place, runs: int, at_once: int) -> Figure:
    """Durable runs of 15 sequential tools."""
    app = App("bench")
    app.task("chain", agent=chain_agent(), stream=False)
    async with place.services(app) as services:
        async with place.gear() as gear:
            await work_off(app, gear, place.settings(slots=1), await queue_runs(services, "chain", 1))
        queued = await queue_runs(services, "chain", runs)
    before = commits(place.admin_url)
    async with place.gear() as gear:
        cost = await spent(lambda: work_off(app, gear, place.settings(slots=at_once), queued), place.server_dir)
    committed = commits(place.admin_url) - before
    done = runs * STEPS
    return Figure(
        "holdfast",
        "agent",
        done / cost.wall_s,
        1000 * cost.cpu_s / done,
        1000 * cost.server_cpu_s / done,
        committed / done,
    )


async def no_op(place: Place, seconds: float) -> Figure:
    """Steps of the journal alone."""
    before, cpu = commits(place.admin_url), cpu_s()
    per_s = await no_op_steps_per_s(place.installation.url("worker"), seconds)
    done = per_s * seconds
    return Figure(
        "holdfast", "no-op", per_s, 1000 * (cpu_s() - cpu) / done, None, (commits(place.admin_url) - before) / done
    )
