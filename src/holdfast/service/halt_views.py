"""Halts as readers get them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from holdfast.domain.halts import HaltScope
from holdfast.service.views import View


class HaltView(View):
    """A halt, in force or ended."""

    id: UUID
    scope: HaltScope
    key: str
    """Which run, session, principal, task, tool or model; the name of the tenant; empty of everything."""
    reason: str
    by: str
    by_name: str
    authority: Literal["own", "operator", "admin", "platform"]
    """Whose authority it takes to lift it, at least; `own`: its author's."""
    at: datetime
    """When it was declared: from then on no intent that it covers was committed."""
    expires_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None
    in_force: bool


class HaltPage(View):
    """Halts, newest first."""

    items: list[HaltView]
    next: str | None


class HaltWorkerView(View):
    """A worker process that has not said that it knows of a halt."""

    worker: UUID
    host: str
    pid: int
    alive: bool
    """Whether its lease holds. If not it has lost its runs and begins nothing; what it had begun may go on."""


class InFlightView(View):
    """A call or request that a halt covers, and that is still under way."""

    worker: UUID
    host: str
    pid: int
    alive: bool
    run: UUID
    what: Literal["tool", "model"]
    name: str
    recovery: str
    thread: bool
    """It is a plain function in a thread: nothing can stop it."""
    for_s: float
    """How long it had been under way when its worker last said so."""


class HaltReport(HaltView):
    """A halt, with what workers say of it."""

    last_dispatch_at: datetime | None
    """When anything that it covers was last begun, as far as workers have said; null: nothing was, lately."""
    last_cancelled_at: datetime | None
    """When the last model request or call ended that could be cancelled."""
    last_effect_at: datetime | None
    """When the last call ended that could not: what may not run again, and plain functions."""
    workers: int
    """How many worker processes have said that they know."""
    silent: list[HaltWorkerView]
    in_flight: list[InFlightView]
    settled: bool
    """Every worker process that lives knows of it, and has nothing under way that it covers."""
