"""Appends per second and client CPU per append, beside a plain INSERT + COMMIT loop in the same process.

    python -m bench.append [--url URL] [--seconds 2]

Each run appends one fact with an 800-byte body and waits for its commit; with content, it also seals a new
piece of 1 KiB for each. `append_rates` returns the rows that the table prints.
"""

import argparse
import asyncio
import os
import resource
import secrets
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import orjson
import psycopg
import uvloop

from holdfast.domain.events import Noted
from holdfast.domain.ids import DEFAULT_TENANT, Ref
from holdfast.embedded import acquire
from holdfast.store.claims import claim_runs
from holdfast.store.hashing import GENESIS, chain_prefix, event_hash, microseconds
from holdfast.store.journal import JournalWriter
from holdfast.store.leases import register_worker
from holdfast.store.migrate import migrate
from holdfast.store.pool import Database
from holdfast.store.runs import accept_run
from holdfast.store.vault import SubjectKey

TASK = "bench.append"
KEY = SubjectKey(DEFAULT_TENANT, "bench", secrets.token_bytes(32))


@dataclass(frozen=True)
class Rate:
    """What one way of committing did with so many runs at once."""

    way: str
    runs: int
    per_s: float
    cpu_us: float
    """CPU of this process per append; the server's is not in it."""


async def append_rates(worker_url: str, admin_url: str, *, runs=(1, 16, 64), seconds=2.0) -> list[Rate]:
    """Rates of the plain loop and of the journal, for each number of runs."""
    rates = []
    async with Database.open(worker_url, role="worker") as db:
        for count in runs:
            rates.append(await _plain(admin_url, count, seconds))
            rates.append(await _journal(db, count, seconds, content=False))
            rates.append(await _journal(db, count, seconds, content=True))
    return rates


async def _journal(db, count, seconds, *, content):
    claims = await claimed_runs(db, count)
    async with JournalWriter(db) as writer:
        journals = [writer.open(claim, KEY) for claim in claims]
        event = Noted(scope="", key="x" * 700, value=Ref("0" * 64))

        async def one(journal, until, tally):
            while time.perf_counter() < until:
                if content:
                    journal.seal(secrets.token_bytes(1024))
                await journal.append(event)
                tally[0] += 1

        way = "journal + content" if content else "journal"
        return await _measure(way, count, journals, one, seconds)


async def _plain(admin_url, count, seconds):
    connections = [
        await psycopg.AsyncConnection.connect(admin_url, autocommit=True, prepare_threshold=0) for _ in range(count)
    ]
    await connections[0].execute(
        "create table if not exists public.plain (run uuid, seq bigint, body text, primary key (run, seq))"
    )
    body = "x" * 800

    async def one(connection, until, tally):
        run, seq = uuid4(), 0
        while time.perf_counter() < until:
            seq += 1
            await connection.execute("insert into public.plain values (%s, %s, %s)", [run, seq, body], binary=True)
            tally[0] += 1

    try:
        return await _measure("plain INSERT+COMMIT", count, connections, one, seconds)
    finally:
        for connection in connections:
            await connection.close()


async def _measure(way, count, each, one, seconds):
    await asyncio.gather(*(one(item, time.perf_counter() + 0.2, [0]) for item in each))
    tally, began, cpu = [0], time.perf_counter(), _cpu_s()
    await asyncio.gather(*(one(item, began + seconds, tally) for item in each))
    lasted, used = time.perf_counter() - began, _cpu_s() - cpu
    return Rate(way, count, tally[0] / lasted, used / tally[0] * 1e6)


async def claimed_runs(db, count, principal="bench"):
    task = TASK if principal == "bench" else f"{TASK}.{principal}"
    worker, at, body = uuid4(), datetime.now(UTC), '{"v":1,"e":{}}'
    await register_worker(db, worker, "bench", os.getpid(), {task: ["1"]}, 600.0)
    for _ in range(count):
        run = uuid4()
        prefix = chain_prefix(DEFAULT_TENANT, run)
        await accept_run(
            db,
            DEFAULT_TENANT,
            run,
            task=task,
            task_version="1",
            principal=principal,
            subject="bench",
            at=at,
            body=body,
            hash=event_hash(prefix, 1, b"run_accepted", microseconds(at), body.encode(), GENESIS),
            blobs={},
        )
    claims = await claim_runs(db, worker, count, [task], ["1"], [count])
    assert len(claims) == count
    return claims


def _cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", help="an administrator's URL; without it a throwaway embedded PostgreSQL")
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with ExitStack() as stack:
        if given.url:
            admin_url = given.url
            worker_url = psycopg.conninfo.make_conninfo(given.url, user="holdfast_worker")
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            server = stack.enter_context(acquire(folder / "pg"))
            admin_url = server.url(user="admin", database="postgres")
            worker_url = server.url(user="holdfast_worker", database="postgres")
        migrate(admin_url)
        rates = uvloop.run(append_rates(worker_url, admin_url, seconds=given.seconds))
    if given.json:
        print(orjson.dumps([asdict(rate) for rate in rates]).decode())
        return
    plain = {rate.runs: rate.per_s for rate in rates if rate.way.startswith("plain")}
    for rate in rates:
        ratio = f"{rate.per_s / plain[rate.runs]:.2f}x"
        print(f"{rate.way:20} {rate.runs:4} runs {rate.per_s:10,.0f}/s {rate.cpu_us:7.1f} us CPU {ratio:>7}")


if __name__ == "__main__":
    main()
