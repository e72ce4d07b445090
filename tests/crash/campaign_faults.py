"""What befalls the workers of the budget campaign and their database."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
from campaign_app import TASKS
from crash_scene import Scene
from nursery import Worker

from support.private_database import PrivateDatabase
from support.proxy import Proxy

WORKERS = 3
LIVELY = {"lease_s": 3, "tick_s": 0.3, "poll_s": 0.3, "slots": 40}
STATEMENTS = ("append", "append", "append", "claim_runs", "renew_lease")
BACKENDS = """
select pg_terminate_backend(pid) from pg_stat_activity where usename in ('holdfast_worker', 'holdfast_api')
order by random() limit 4
"""
HOT = """
select from holdfast.budget_windows w where w.budget in (select budget from holdfast.budget_windows
  group by budget having count(*) = 1 order by random() limit %s)
order by w.tenant, w.budget, w.owner, w.since for update
"""
LOCKED_LOOKS = (2, 10)
"""For how many looks at the runs somebody holds windows. Runs in them wait; those of others go on."""


class Faults:
    """Draws what happens next. One worker sits behind a proxy that cuts it off in the middle of a statement."""

    def __init__(self, scene: Scene, database: PrivateDatabase, proxy: Proxy, rng: random.Random) -> None:
        self._scene, self._database, self._proxy, self._rng = scene, database, proxy, rng
        self._workers: list[Worker | None] = [None] * WORKERS
        self._holder: psycopg.Connection[Any] | None = None
        self._locked = 0
        self.told = Counter[str]()

    async def keep_workers(self) -> None:
        """Start those that are missing."""
        for place, worker in enumerate(self._workers):
            if worker is None or not worker.is_alive:
                if worker is not None:
                    self.told["workers that died of it"] += os.WTERMSIG(worker.ended.result()) != signal.SIGKILL
                way = {"database_url": self._proxy.url, "prepared_statements": False} if place == 0 else {}
                self._workers[place] = await self._scene.worker(*TASKS, **LIVELY, **way)

    async def next(self) -> None:
        """One thing goes wrong."""
        happens: dict[Callable[[], Awaitable[None]], int] = {
            self._kill: 12, self._sever: 5, self._cut: 10, self._lock: 5, self._restart: 1
        }  # fmt: skip
        [one] = self._rng.choices([*happens], [*happens.values()])
        await one()

    async def restart(self) -> None:
        await self._restart()

    @property
    def is_locked(self) -> bool:
        """Whether somebody holds windows: who raises a budget would wait for them."""
        return self._holder is not None

    def look(self) -> None:
        """Some time has passed."""
        self._locked -= 1
        if self._locked <= 0:
            self.end()

    def end(self) -> None:
        """Let go of windows."""
        if self._holder is not None:
            with suppress(psycopg.OperationalError):
                self._holder.close()
            self._holder = None

    async def _kill(self) -> None:
        alive = [worker for worker in self._workers if worker is not None and worker.is_alive]
        if alive:
            await self._rng.choice(alive).kill()
            self.told["kills"] += 1

    async def _sever(self) -> None:
        self.told["connections ended by the server"] += len(self._scene.connection.execute(BACKENDS))

    async def _cut(self) -> None:
        arm, told = self._rng.choice(
            [(self._proxy.cut_request, "requests cut"), (self._proxy.cut_reply, "replies cut")]
        )
        arm(f"holdfast.{self._rng.choice(STATEMENTS)}(".encode())
        self.told[f"{told} (armed)"] += 1

    async def _lock(self) -> None:
        if self._holder is None:
            self._locked = self._rng.randint(*LOCKED_LOOKS)
            with suppress(psycopg.OperationalError):
                self._holder = psycopg.connect(self._database.admin_url)
                self._holder.execute(HOT, [self._rng.randint(1, 3)])
                self.told["locks on hot windows"] += 1

    async def _restart(self) -> None:
        self.end()
        before = self._database.kill(self._rng.choice((signal.SIGKILL, signal.SIGQUIT, signal.SIGINT)))
        while not self._database.is_back(before):
            await asyncio.sleep(0.05)
        self.told["restarts of the server"] += 1
