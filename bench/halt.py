"""A halt while many runs are under way in many processes: until the last of them begins anything."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.meter import percentile
from bench.place import WHO, queue_runs
from bench.processes import Workers, until, workers_of
from bench.row import Row
from bench.served import app
from holdfast.domain.halts import HaltScope
from holdfast.service import halts

if TYPE_CHECKING:
    from bench.place import Place
    from holdfast.service.services import Services

WORKERS, RUNS, ROUNDS = 8, 500, 4
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class _Round:
    declared_s: float
    """What the request to halt took."""
    last_s: list[float]
    """Of each process, how long after that was answered it last entered a tool; 0 where it did not."""
    reported_s: float
    """The last new dispatch after the declaration, as the halt's report says."""
    settled_s: float


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """Halt and lift, several times, while every run calls one tool after another."""
    workers_n, runs_n, rounds_n = (2, 20, 1) if quick else (WORKERS, RUNS, ROUNDS)
    with workers_of(place) as workers:
        workers.start(workers_n, slots=runs_n // workers_n + 8, lease_s=30, bench_beat_s=0.5 if quick else 4)
        await workers.registered(workers_n)
        async with place.services(app) as services:
            await queue_runs(services, "beating", runs_n, "go")
            rounds = [await _round(place, workers, services, runs_n) for _ in range(rounds_n)]
    last = [late_s for one in rounds for late_s in one.last_s]
    note = f"{workers_n} processes, {runs_n} live runs, {rounds_n} halts; the longest {max(last):.3f} s"
    return [
        Row(
            name="halt → last new dispatch, p99",
            measured=max(percentile(last, 0.99), 0.0001),
            unit="s",
            bar=2,
            note=note,
            details={"last_s": last, "reported_s": [one.reported_s for one in rounds]},
        ),
        Row(
            name="halt → answered",
            measured=median(one.declared_s for one in rounds),
            unit="s",
            note=f"the longest {max(one.declared_s for one in rounds):.3f} s",
        ),
        Row(
            name="halt → every process has acknowledged, nothing is under way",
            measured=median(one.settled_s for one in rounds),
            unit="s",
            note=f"the longest {max(one.settled_s for one in rounds):.2f} s",
        ),
    ]


async def _round(place: Place, workers: Workers, services: Services, runs: int) -> _Round:
    await until(lambda: _running(place) >= runs, f"{runs} runs are live")
    seen = len(workers.tales())
    await until(lambda: len(workers.tales()) >= seen + runs // 4, "they are at work")
    asked_at_s = time.time()
    report, _ = await halts.declare_halt(services, WHO, HaltScope.TENANT, "", reason="bench")
    answered_at_s = time.time()
    while not report.settled:
        await asyncio.sleep(_LOOK_S)
        report = await halts.get_halt(services, WHO, report.id)
    settled_s = time.time() - answered_at_s
    last = dict.fromkeys((process.pid for process in workers.processes), 0.0)
    for tale in workers.tales():
        last[tale.pid] = max(last[tale.pid], tale.at_s - answered_at_s)
    assert report.last_dispatch_at is not None
    reported_s = (report.last_dispatch_at - report.at).total_seconds()
    await halts.lift_halt(services, WHO, report.id)
    return _Round(answered_at_s - asked_at_s, list(last.values()), reported_s, settled_s)


def _running(place: Place) -> int:
    return place.execute("select count(*) from holdfast.runs where state = 'running'")[0][0]
