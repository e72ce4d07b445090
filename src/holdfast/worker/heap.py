"""The collector of garbage, told what kind of process this is.

What was imported stays for the life of the process, and at Python's own thresholds the collector goes through it
again and again: a fifth of a worker's CPU, measured with 64 runs at once.
"""

from __future__ import annotations

import gc

_YOUNG = 10_000
"""Allocations between two collections of the youngest objects. Python's own is 700, which one step of a run exceeds."""


def settle_heap() -> None:
    """Keep what is there out of all later collections, and collect less often. Once, before a process works."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
