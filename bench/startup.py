"""How long `holdfast --help` takes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.row import Row

if TYPE_CHECKING:
    from bench.place import Place

TIMES = 9


async def rows(_place: Place, *, quick: bool = False) -> list[Row]:
    """The median of several."""
    program = Path(sys.executable).with_name("holdfast")
    took, used = list[float](), list[float]()
    for _ in range(1 if quick else TIMES):
        cpu, at = _children_cpu_s(), time.perf_counter()
        subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221  all there is to do
        took.append(time.perf_counter() - at)
        used.append(_children_cpu_s() - cpu)
    note = f"median of {len(took)}; fastest {min(took):.2f} s, CPU {median(used):.2f} s"
    return [Row(name="holdfast --help", measured=median(took), unit="s", bar=0.4, note=note)]


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
