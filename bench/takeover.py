"""A worker ends, killed or asked to: until its run goes on in another process."""

from __future__ import annotations

import signal
import time
from statistics import median
from typing import TYPE_CHECKING

from bench.place import queue_runs
from bench.processes import Workers, workers_of
from bench.row import Row
from bench.served import app

if TYPE_CHECKING:
    from bench.place import Place
    from holdfast.service.services import Services

LEASE_S = 2.0
"""Short, so that several kills fit in; what is reported is the time beyond the lease."""
KILLS = 4


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """The longest of several kills beyond the lease, and of several clean shutdowns."""
    times = 1 if quick else KILLS
    with workers_of(place) as workers:
        workers.start(2, lease_s=LEASE_S)
        async with place.services(app) as services:
            killed = [await _gone(workers, services, f"kill{n}", signal.SIGKILL) for n in range(times)]
            ended = [await _gone(workers, services, f"end{n}", signal.SIGTERM) for n in range(times)]
    beyond = [wait_s - LEASE_S for wait_s in killed]
    return [
        Row(
            name="kill -9 → run going on elsewhere, beyond the lease",
            measured=max(beyond),
            unit="s",
            bar=1,
            note=f"the longest of {times}; median {median(beyond):.2f} s; lease {LEASE_S:g} s here",
            details={"beyond_lease_s": beyond},
        ),
        Row(
            name="clean shutdown → run going on elsewhere",
            measured=max(ended),
            unit="s",
            bar=1,
            note=f"the longest of {times}; median {median(ended):.2f} s",
            details={"seconds": ended},
        ),
    ]


async def _gone(workers: Workers, services: Services, what: str, how: signal.Signals) -> float:
    """How long until the run of a worker that is ended goes on in the other."""
    await workers.registered(2)
    await queue_runs(services, "held", 1, what)
    holder = await workers.tale(what)
    went_at_s = time.time()
    workers.end(holder.pid, how)
    again = await workers.tale(what, attempt=2)
    assert again.pid != holder.pid
    workers.start(1, lease_s=LEASE_S)
    return again.at_s - went_at_s
