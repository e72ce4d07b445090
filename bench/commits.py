"""Commits of a run and of a step: one run alone, sequential, counted by the writer and by the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from bench.meter import commits
from bench.place import queue_runs, work_off
from bench.row import Row
from bench.workload import STEPS, chain_agent
from holdfast.app import App

if TYPE_CHECKING:
    from bench.place import Place

RUNS = 20
_REPORTED_S = 1.2
"""Sessions report their transactions when they end, and a moment later it can be read."""


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """What the journal commits, and what the whole worker does beside."""
    count = 2 if quick else RUNS
    app = App("bench")
    app.task("chain", agent=chain_agent(), stream=False)
    points = Counter[str]()
    before, counts = commits(place.admin_url), list[int]()
    async with place.services(app) as services, place.gear(lambda point: points.update([point])) as gear:
        for _ in range(count):
            runs = await queue_runs(services, "chain", 1)
            committed = points["append.after_commit"]
            await work_off(app, gear, place.settings(slots=1), runs)
            counts.append(points["append.after_commit"] - committed)
    await asyncio.sleep(_REPORTED_S)
    every = (commits(place.admin_url) - before) / count
    # The run's own acceptance is the first of the two that a run may cost beyond its steps. The median: an outcome
    # that waited 5 ms for the next intent commits alone, as on a busy machine now and then.
    per_run = median(counts) + 1
    note = (
        f"accepting it included; fewest {min(counts) + 1}, most {max(counts) + 1}; {every:.1f} transactions in all, "
        "with start-up, claims, reading and ticks"
    )
    return [
        Row(
            name=f"commits of a run of {STEPS} sequential steps",
            measured=per_run,
            bar=STEPS + 2,
            note=note,
            details={"journal_of_each_run": counts, "all_transactions_per_run": every},
        )
    ]
