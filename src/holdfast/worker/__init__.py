"""Which runs this process carries: claim, lease, rescue, drain. `docs/internals/engine.md` has the rules.

Reading path: `worker.py` (registers, works, drains) → `tenure.py` (one worker id at work) → `claiming.py` and
`carried.py` (runs come in, fill slots, go) · `lease.py` and `stall.py` (the thread that renews, and what it
does when user code blocks the loop) · `ticker.py` · `drain.py` (signals). The process itself is
the command line's (`cli/worker_process.py`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.worker.worker import Worker

__all__ = ["Worker"]


def __getattr__(name: str) -> Any:
    """Load on first use: who only loads an app needs no worker."""
    if name != "Worker":
        raise AttributeError(name)
    from holdfast.worker.worker import Worker

    return Worker
