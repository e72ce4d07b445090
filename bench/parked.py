"""100,000 parked runs: what they cost a worker that lives beside them, one that starts, and the database."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import psycopg

from bench.meter import commits, rss_bytes, server_cpu_s
from bench.processes import Workers, until, workers_of
from bench.row import Row

if TYPE_CHECKING:
    from bench.place import Place

PARKED = 100_000
_SETTLED_S, _WATCHED_S = 4.0, 12.0
_STARTS = 3


@dataclass(frozen=True, slots=True)
class Idle:
    """A worker that has nothing to do."""

    rss_mb: float
    commits_per_s: float
    server_cpu_ms_per_s: float
    start_s: float
    tick_ms: float


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """Each figure without parked runs and with them."""
    count = 1_000 if quick else PARKED
    before = await _idle(place, quick=quick)
    with workers_of(place) as workers:
        workers.start()
        await workers.registered(1)
        await asyncio.sleep(0.5 if quick else _SETTLED_S)
        alone_mb = rss_bytes(workers.processes[0].pid) / 1e6
        _park(place, count)
        await asyncio.sleep(0.5 if quick else _SETTLED_S)
        grown_mb = rss_bytes(workers.processes[0].pid) / 1e6 - alone_mb
    await _none_left(place)
    after = await _idle(place, quick=quick)
    place.clear()
    return _table(count, before, after, grown_mb)


def _table(count: int, before: Idle, after: Idle, grown_mb: float) -> list[Row]:
    details = {"before": _as_dict(before), "after": _as_dict(after)}
    return [
        Row(
            name=f"{count:,} parked runs: memory of a worker",
            measured=grown_mb,
            unit="MB more",
            bar=2,
            note="of one that was there when they parked; nothing is held for them",
            details=details,
        ),
        Row(
            name=f"{count:,} parked runs: start of a worker, to none",
            measured=after.start_s / before.start_s,
            bar=1.1,
            note=f"{before.start_s:.2f} s without, {after.start_s:.2f} s with",
        ),
        Row(
            name=f"{count:,} parked runs: transactions of an idle worker",
            measured=after.commits_per_s - before.commits_per_s,
            unit="/s more",
            bar=0.5,
            note=f"{before.commits_per_s:.1f}/s without, {after.commits_per_s:.1f}/s with; server CPU "
            f"{before.server_cpu_ms_per_s:.1f} and {after.server_cpu_ms_per_s:.1f} ms/s",
        ),
        Row(
            name=f"{count:,} parked runs: one tick",
            measured=after.tick_ms - before.tick_ms,
            unit="ms more",
            bar=2,
            note=f"{before.tick_ms:.2f} ms without, {after.tick_ms:.2f} ms with",
        ),
    ]


async def _idle(place: Place, *, quick: bool) -> Idle:
    starts = list[float]()
    for _ in range(1 if quick else _STARTS):
        with workers_of(place) as workers:
            starts.append(await _started(workers))
            if len(starts) < (1 if quick else _STARTS):
                continue
            await asyncio.sleep(0.2 if quick else _SETTLED_S)
            rss = rss_bytes(workers.processes[0].pid) / 1e6
            seen, cpu, at = commits(place.admin_url), server_cpu_s(place.server_dir), time.monotonic()
            await asyncio.sleep(1 if quick else _WATCHED_S)
            watched_s = time.monotonic() - at
            per_s = (commits(place.admin_url) - seen) / watched_s
            cpu_ms = (server_cpu_s(place.server_dir) - cpu) * 1000 / watched_s
        await _none_left(place)
    return Idle(rss, per_s, cpu_ms, median(starts), _tick_ms(place))


async def _started(workers: Workers) -> float:
    await _none_left(workers.place)
    at = time.monotonic()
    workers.start()
    await workers.registered(1)
    return time.monotonic() - at


async def _none_left(place: Place) -> None:
    alive = "select count(*) from holdfast.workers where lease_until > holdfast.now()"
    await until(lambda: not place.execute(alive)[0][0], "no worker left")


def _tick_ms(place: Place) -> float:
    took = list[float]()
    with psycopg.connect(place.installation.url("worker"), autocommit=True) as connection:
        for _ in range(20):
            at = time.perf_counter()
            connection.execute("select * from holdfast.tick(500)")
            took.append(1000 * (time.perf_counter() - at))
    return median(took)


def _park(place: Place, count: int) -> None:
    """Runs that wait for an approval, each with the rows that such a run has."""
    place.execute(
        f"""
        with parked as (
          insert into holdfast.runs (tenant, id, task, task_version, state, waiting_on, principal, subject, epoch, seq,
                                     head, steps, created_at, queued_at, started_at, updated_at)
          select (select id from holdfast.tenants limit 1), gen_random_uuid(), 'held', '1', 'parked', 'approval',
                 'bench', 'bench', 1, 5, decode(repeat('00', 32), 'hex'), 2, now(), now(), now(), now()
          from generate_series(1, {count}) returning tenant, id
        ), told as (
          insert into holdfast.events (tenant, run, seq, type, at, body, hash)
          select tenant, id, seq, 'noted', now(), repeat('x', 300), decode(repeat('00', 32), 'hex')
          from parked, generate_series(1, 5) as seq
        )
        insert into holdfast.approvals (tenant, id, run, kind, scope, step, call, tool, args, digest, asked_at)
        select tenant, gen_random_uuid(), id, 'approval', '', 1, 'c', 'hold', '', '', now() from parked
        """
    )
    place.execute("analyze")


def _as_dict(idle: Idle) -> dict[str, float]:
    return {name: round(getattr(idle, name), 3) for name in Idle.__slots__}
