"""CPU, memory and commits, of this process and of the database server.

The machine may be shared: CPU time is steadier than the clock, and variants to be compared are measured in turn
(A B A B), their ratio taken within each turn and the median of the turns reported.
"""

from __future__ import annotations

import gc
import resource
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import psutil
import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path


def cpu_s() -> float:
    """CPU that this process has used, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def server_cpu_s(data_dir: Path) -> float:
    """CPU that the PostgreSQL server has used, with all its processes, those that ended included."""
    postmaster = psutil.Process(int((data_dir / "postmaster.pid").read_text().split()[0]))
    times = postmaster.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            found = child.cpu_times()
            total += found.user + found.system
    return total


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return psutil.Process(pid).memory_info().rss


def commits(admin_url: str) -> int:
    """Transactions the database has committed, as its sessions have reported them: they do so when they end."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        found = connection.execute(
            "select xact_commit from pg_stat_database where datname = current_database()"
        ).fetchone()
    assert found is not None
    return found[0]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work cost."""

    cpu_s: float
    server_cpu_s: float
    wall_s: float


async def spent(work: Callable[[], Awaitable[object]], data_dir: Path | None = None) -> Spent:
    """What `work` costs, here and at the server."""
    gc.collect()
    server = server_cpu_s(data_dir) if data_dir else 0.0
    cpu, wall = cpu_s(), perf_counter()
    await work()
    cpu, wall = cpu_s() - cpu, perf_counter() - wall
    return Spent(cpu, (server_cpu_s(data_dir) - server) if data_dir else 0.0, wall)


def ratios(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the turns' ratios."""
    return median(a / b for a, b in zip(above, below, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
