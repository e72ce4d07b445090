"""Which runs this process carries: claim, lease, rescue, drain. `docs/internals/engine.md` has the rules.

Reading path: `worker.py` (registers, works, drains) → `tenure.py` (one worker id at work) → `claiming.py` and
`carried.py` (runs come in, fill slots, go) · `lease.py` and `stall.py` (the thread that renews, and what it
does when user code blocks the loop) · `ticker.py` · `drain.py` and `process.py` (signals, the process).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.worker.process import serve
    from holdfast.worker.worker import Worker

__all__ = ["Worker", "serve"]

_HOME = {"Worker": "worker", "serve": "process"}


def __getattr__(name: str) -> Any:
    """Load on first use: who only loads an app needs no worker."""
    import importlib

    if name in _HOME:
        return getattr(importlib.import_module(f"holdfast.worker.{_HOME[name]}"), name)
    raise AttributeError(name)
