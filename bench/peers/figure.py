"""What one engine did with one workload."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One engine, one workload."""

    engine: str
    workload: str
    """`agent`: 15 sequential tools; `no-op`: steps that do nothing."""
    steps_per_s: float
    cpu_ms_per_step: float
    """Of the worker process."""
    server_ms_per_step: float | None
    """Of the database server; None where it was not told apart."""
    commits_per_step: float | None
    """Transactions of the database in all."""
