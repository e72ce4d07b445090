"""One worker process that reserves and settles as fast as it can: `python -m bench.reserving`, told by its arguments.

It says "ready" once its runs are claimed, begins at a line on its input, and prints what it did as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import orjson
import uvloop

from bench.append import KEY, claimed_runs
from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT, Ref
from holdfast.store.journal import JournalWriter, Spending, Use
from holdfast.store.pool import Database

if TYPE_CHECKING:
    from holdfast.store.journal import RunJournal

BOUND, USED = Use("gpt", "openai", 3000, 2000, 1), Use("gpt", "openai", 1000, 990, 1)
USAGE = ev.Usage(input_tokens=900, output_tokens=90)


async def steps(journal: RunJournal, until: float, took: list[float], *, budgeted: bool) -> None:
    """Model requests one after another: the answer's commit is the next request's."""
    step, text = 0, Ref("0" * 64)
    while time.perf_counter() < until:
        step += 1
        name, began = f"#{step}", time.perf_counter()
        reserve = Spending(what="reserve", step=name, attempt=1, usd=3000, tokens=2000, requests=1, models=[BOUND])
        request = ev.ModelRequested(
            scope="", step=step, attempt=1, model="gpt", messages=ev.Messages(keep=step, add=[text]), bound=USAGE,
            bound_usd_micros=3000, reserved=budgeted,
        )  # fmt: skip
        await journal.append(request, rows=[reserve] if budgeted else ())
        took.append(time.perf_counter() - began)
        response = ev.ModelResponded(
            scope="", step=step, attempt=1, response=text, history=ev.Messages(keep=step, add=[]), model="gpt",
            usage=USAGE, latency_ms=1, cost=ev.Cost(usd_micros=1000, source="bench"),
        )  # fmt: skip
        settle = Spending(what="settle", step=name, attempt=1, usd=1000, tokens=990, requests=1, models=[USED])
        journal.hold(response, rows=[settle] if budgeted else ())


async def reserve(url: str, principal: str, runs: int, seconds: float, *, budgeted: bool) -> None:
    """Reserve for so long with so many runs at once."""
    async with Database.open(url, role="worker") as db:
        claims = await claimed_runs(db, runs, principal)
        async with JournalWriter(db) as writer:
            if budgeted:
                writer.bounding.note(DEFAULT_TENANT)  # as the first answer of the database would have it
            journals = [writer.open(claim, KEY) for claim in claims]
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            took, began = list[float](), time.perf_counter()
            await asyncio.gather(*(steps(one, began + seconds, took, budgeted=budgeted) for one in journals))
            lasted = time.perf_counter() - began
            print(orjson.dumps({"took_s": took, "lasted_s": lasted}).decode(), flush=True)


if __name__ == "__main__":
    url, principal, runs, seconds, way = sys.argv[1:]
    uvloop.run(reserve(url, principal, int(runs), float(seconds), budgeted=way != "none"))
