"""From the request to start a run until an idle worker process performs its first step."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from bench.meter import percentile
from bench.place import queue_runs
from bench.processes import workers_of
from bench.row import Row
from bench.served import app

if TYPE_CHECKING:
    from bench.place import Place

SAMPLES = 400


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """Median and 99th percentile, one run after another."""
    samples = 5 if quick else SAMPLES
    asked, accepted = dict[str, float](), dict[str, float]()
    with workers_of(place) as workers:
        workers.start()
        async with place.services(app) as services:
            await queue_runs(services, "quick", 1, "warm")
            await workers.tale("warm")
            for number in range(samples):
                name = f"run{number}"
                asked[name] = time.time()
                await queue_runs(services, "quick", 1, name)
                accepted[name] = time.time()
                await workers.tale(name)
                await asyncio.sleep(0.01)
        begun = {tale.what: tale.at_s for tale in workers.tales()}
    waits_ms = [1000 * (begun[name] - asked[name]) for name in asked]
    after_ms = median(1000 * (begun[name] - accepted[name]) for name in asked)
    note = f"{samples} runs, from before the request; {after_ms:.1f} ms from its answer"
    return [
        Row(name="enqueue → first step, p50", measured=median(waits_ms), unit="ms", bar=5, note=note),
        Row(name="enqueue → first step, p99", measured=percentile(waits_ms, 0.99), unit="ms", bar=25),
    ]
