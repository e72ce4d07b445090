"""Appends per second beside a plain INSERT + COMMIT loop, and no-op steps per second at the journal."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from bench.append import KEY, append_rates, claimed_runs
from bench.row import Row
from holdfast.domain import events as ev
from holdfast.domain.recovery import Recovery
from holdfast.store.journal import JournalWriter
from holdfast.store.pool import Database

if TYPE_CHECKING:
    from bench.place import Place
    from holdfast.store.journal import RunJournal

TURNS = 3
AT_ONCE = 64


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """At 1, 16 and 64 runs; the bar is at 64."""
    seconds, turns = (0.2, 1) if quick else (1.5, TURNS)
    worker_url, found = place.installation.url("worker"), dict[int, list[tuple[float, float]]]()
    for _ in range(turns):
        rates = await append_rates(worker_url, place.admin_url, seconds=seconds)
        plain = {rate.runs: rate.per_s for rate in rates if rate.way.startswith("plain")}
        for rate in rates:
            if rate.way == "journal":
                found.setdefault(rate.runs, []).append((rate.per_s, plain[rate.runs]))
    rows_ = [_row(runs, pairs) for runs, pairs in sorted(found.items())]
    steps = median([await no_op_steps_per_s(worker_url, seconds) for _ in range(turns)])
    note = "the ratio to DBOS is in bench-peers"
    return [*rows_, Row(name=f"no-op steps per second at the journal, {AT_ONCE} runs", measured=steps, note=note)]


def _row(runs: int, pairs: list[tuple[float, float]]) -> Row:
    journal, plain = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    return Row(
        name=f"appends per second ÷ plain INSERT+COMMIT, {runs} runs",
        measured=median(a / b for a, b in pairs),
        bar=1 if runs == AT_ONCE else None,
        kind="at least",
        note=f"{journal:,.0f}/s and {plain:,.0f}/s",
    )


async def no_op_steps_per_s(worker_url: str, seconds: float, at_once: int = AT_ONCE) -> float:
    """Steps as a run of sequential tools takes them: the last outcome commits with the next intent."""
    async with Database.open(worker_url, role="worker") as db:
        claims = await claimed_runs(db, at_once)
        async with JournalWriter(db) as writer:
            journals = [writer.open(claim, KEY) for claim in claims]
            began = time.perf_counter()
            counts = await asyncio.gather(*(_steps(journal, began + seconds) for journal in journals))
            return sum(counts) / (time.perf_counter() - began)


async def _steps(journal: RunJournal, until: float) -> int:
    step = 0
    while time.perf_counter() < until:
        step += 1
        call = f"call{step}"
        started = ev.ToolStarted(
            scope="", step=step, call=call, tool="no_op", recovery=Recovery.IDEMPOTENT, key=f"{journal.run}/{call}",
            args=journal.seal(b'{"item":%d}' % step), schema="", attempt=1, approved=False,
        )  # fmt: skip
        await journal.append(started)
        result = journal.seal(b'{"kind":"value","value":%d}' % step)
        journal.hold(
            ev.ToolFinished(
                scope="", step=step, call=call, tool="no_op", outcome="value", result=result, model_args=started.args,
                schema="", approved=False, usage=None, latency_ms=0, resolved_by=None,
            )
        )  # fmt: skip
    return step
