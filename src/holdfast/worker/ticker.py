"""The tick: timers, dead workers and waiting code versions, looked after by whoever is alive."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING

from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent
from holdfast.store.budgets import sweep_windows, tell_alerts
from holdfast.store.halts import expire_halts
from holdfast.store.hints import HALTS, QUEUED
from holdfast.store.leases import tick
from holdfast.worker.patience import patiently

if TYPE_CHECKING:
    from holdfast.store.hints import Hints
    from holdfast.store.pool import Database

_BATCH = 500
_BUDGETS_S = 30.0
"""How often a worker asks what of alerts is to be logged, and begins to remove windows that are over, about."""


async def tick_forever(db: Database, hints: Hints, tick_s: float) -> None:
    """Tick every `tick_s` at the latest, jittered so that many workers do not tick at once; hint what was queued."""
    log = logger("worker")
    loop = asyncio.get_running_loop()
    budgets_at, place = loop.time(), None
    while True:
        ticked = await patiently("tick", lambda: tick(db, _BATCH))
        if ticked.moved:
            log.info(LogEvent.TICKED, **ticked.fields())
        if ticked.halts_due:
            await patiently("expire halts", lambda: expire_halts(db))
            hints.notify(HALTS)
        if ticked.queued or ticked.halts_due:
            hints.notify(QUEUED)
        is_due = loop.time() >= budgets_at
        if is_due:
            budgets_at = loop.time() + _BUDGETS_S * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            for alert in await patiently("tell alerts", lambda: tell_alerts(db, _BATCH)):
                log.warning(LogEvent.BUDGET_ALERT, **alert.fields())
        if is_due or place is not None:
            _, place = await patiently("sweep windows", partial(sweep_windows, db, place, _BATCH))
        if ticked.moved < _BATCH:
            await asyncio.sleep(tick_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
