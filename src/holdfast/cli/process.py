"""What a process that lives long does first: its event loop, and the collector of garbage told what it is for."""

from __future__ import annotations

import asyncio
import gc

_YOUNG = 10_000
"""Allocations between two collections of the youngest objects. Python's own is 700, which one step of a run exceeds."""


def settle_heap() -> None:
    """Keep what is there out of all later collections, and collect less often. Once, before a process works.

    What was imported stays for the life of the process, and at Python's own thresholds the collector goes through it
    again and again: a fifth of a worker's CPU, measured with 64 runs at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop's, where there is one for this system."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
