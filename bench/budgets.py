"""What budgets cost a step, and how many reservations a second one budget carries that many workers share."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import psycopg

from bench.cpu import Turns
from bench.meter import percentile, spent
from bench.place import Place, queue_runs, work_off
from bench.row import Row
from bench.workload import chain_agent
from holdfast.app import App
from holdfast.domain.budgets import Allowance, read_scope
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.guards.prices import PriceBook, PriceTable

if TYPE_CHECKING:
    from holdfast.engine.gear import Gear
    from holdfast.service.services import Services

BAR, RATE_BAR = 1.10, 3000
TURNS = 6
WARM_UP = 8
PLANNING = 4
"""Runs of which each session plans its statements, since a turn begins with empty tables."""
WORKERS, RUNS = 8, 32
BUDGETS = (("tenant", "900000usd/day"), ("user:*", "900000usd/day"), ("tenant", "900000000tokens/month"))
BOOK = PriceBook([PriceTable.model_validate({"model": "*", "input": "1", "output": "4"})])


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """The ratios of a step, and the rates of a shared budget and of disjoint ones."""
    return [*await _steps(place, quick=quick), *await _shared(place, quick=quick)]


def allow(place: Place, scope: str, allowance: str) -> None:
    """Set a budget, as the API does."""
    given, (kind, key) = Allowance.parse(allowance), read_scope(scope)
    with psycopg.connect(place.installation.url("api"), autocommit=True) as api, api.transaction():
        api.execute("select set_config('holdfast.tenant', %s, true)", [str(DEFAULT_TENANT)])
        api.execute(
            "select holdfast.set_budget(%s, %s, %s, %s, %s, %s, %s, 'bench')",
            [DEFAULT_TENANT, uuid4(), kind, key, given.unit, given.per, given.amount],
        )


def _without(place: Place) -> None:
    # Not emptied: sessions would have to plan anew, which they do once in their life and not once a turn.
    place.execute("update holdfast.budgets set ended_at = now() where ended_at is null")


async def _steps(place: Place, *, quick: bool) -> list[Row]:
    app = App("bench")
    app.task("chain", agent=chain_agent(), stream=False)
    many, one = Turns(64, 4 if quick else 64), Turns(1, 2 if quick else 16)
    points = Counter[str]()
    async with place.services(app) as services, place.gear(lambda point: points.update([point])) as gear:
        object.__setattr__(gear, "prices", BOOK)
        await _turn(place, app, services, gear, Turns(WARM_UP, WARM_UP), ("none", "budgets"))
        [(reserved,)] = place.execute(
            "select count(*) from holdfast.events where body::text like '%%\"reserved\":true%%'"
        )
        assert reserved == (PLANNING + WARM_UP) * 16, reserved
        for nth in range(1 if quick else TURNS):
            place.clear()
            order = ("none", "budgets") if nth % 2 else ("budgets", "none")
            for turns in (many, one):
                await _turn(place, app, services, gear, turns, order)
        each = await _commits(place, app, services, gear, points)
    found = [_row(many, "64 at once"), _row(one, "1 at a time")]
    found.append(Row(name="commits that budgets add to a run", measured=max(each, 0.0), bar=0))
    return found


async def _turn(place: Place, app: App, services: Services, gear: Gear, turns: Turns, ways: tuple[str, ...]) -> None:
    for way in ways:
        _prepare(place, gear, way)
        settings = place.settings(slots=turns.at_once)
        await work_off(app, gear, settings, await queue_runs(services, "chain", PLANNING))
        runs = await queue_runs(services, "chain", turns.runs)
        turns.add(
            way, await spent(lambda runs=runs, settings=settings: work_off(app, gear, settings, runs), place.server_dir)
        )


def _prepare(place: Place, gear: Gear, way: str) -> None:
    _without(place)
    gear.writer.bounding.forget()
    if way == "budgets":
        for scope, allowance in BUDGETS:
            allow(place, scope, allowance)
        gear.writer.bounding.note(DEFAULT_TENANT)


async def _commits(place: Place, app: App, services: Services, gear: Gear, points: Counter[str]) -> float:
    """How many more commits a run takes, as the writer counts them: sessions tell the database of theirs late."""
    found = dict[str, list[int]]()
    for way in ("none", "budgets", "none", "budgets", "none", "budgets"):
        _prepare(place, gear, way)
        await work_off(app, gear, place.settings(slots=1), await queue_runs(services, "chain", 1))
        runs = await queue_runs(services, "chain", 1)
        before = points["append.after_commit"]
        await work_off(app, gear, place.settings(slots=1), runs)
        found.setdefault(way, []).append(points["append.after_commit"] - before)
    return median(found["budgets"]) - median(found["none"])


def _row(turns: Turns, how: str) -> Row:
    return Row(
        name=f"CPU of a durable run with budgets ÷ without, {how}",
        measured=turns.ratio("budgets", "none"),
        bar=BAR,
        note=f"without {turns.cpu_ms('none'):.1f} ms, with {turns.cpu_ms('budgets'):.1f} ms; three budgets; "
        f"the server's own {turns.server_ms('none'):.1f} and {turns.server_ms('budgets'):.1f} ms",
    )


async def _shared(place: Place, *, quick: bool) -> list[Row]:
    workers, runs, seconds = (2, 4, 0.5) if quick else (WORKERS, RUNS, 4.0)
    place.execute("alter system set commit_delay = 2000")
    place.execute("alter system set commit_siblings = 0")
    place.execute("select pg_reload_conf()")
    found = dict[str, tuple[float, float]]()
    try:
        for way in ("none", "one", "disjoint"):
            place.clear()
            _without(place)
            if way != "none":
                allow(place, "tenant" if way == "one" else "user:*", "900000000usd/day")
            found[way] = await _rate(place, way, workers, runs, seconds)
    finally:
        place.execute("alter system reset all")
        place.execute("select pg_reload_conf()")
    (rate, p99_s), (rate_8, p99_8_s), (rate_0, p99_0_s) = found["one"], found["disjoint"], found["none"]
    note = f"{workers} worker processes with {runs} runs each, commits 2 ms slower; append p99 {1000 * p99_s:.0f} ms; "
    note += f"{workers} disjoint budgets {rate_8:,.0f}/s, p99 {1000 * p99_8_s:.0f} ms; "
    note += f"none {rate_0:,.0f}/s, p99 {1000 * p99_0_s:.0f} ms"
    name = "reservations per second of one budget"
    return [Row(name=name, measured=rate, unit="/s", bar=RATE_BAR, kind="at least", note=note)]


async def _rate(place: Place, way: str, workers: int, runs: int, seconds: float) -> tuple[float, float]:
    """Reservations a second, and the 99th percentile of how long one takes."""
    url = place.installation.url("worker")
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.reserving", url, f"worker{nth}", str(runs), str(seconds), way,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[1], limit=1 << 26,
        )
        for nth in range(workers)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
    told: list[dict[str, Any]] = [orjson.loads((await process.communicate())[0]) for process in processes]
    rate = sum(len(one["took_s"]) / one["lasted_s"] for one in told)
    return rate, percentile([took for one in told for took in one["took_s"]], 0.99)
