"""`Worker`: registers, works, registers anew when its lease is lost, drains when it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent
from holdfast.store.leases import register_worker
from holdfast.worker.lease import now
from holdfast.worker.patience import patiently
from holdfast.worker.tenure import Tenure
from holdfast.worker.verbs import LeaseVerbs

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from holdfast.app import App
    from holdfast.engine.gear import Gear
    from holdfast.settings import Settings
    from holdfast.store.claims import Claimed
    from holdfast.task import Task
    from holdfast.worker.carried import Carrying


class Worker:
    """Carries as many runs of an app as it has slots.

    Args:
        app: whose tasks are served.
        gear: what executions share.
        settings: slots, lease and times.
        execute: makes the execution of a claimed run. Default: `engine.execution.Execution`.
    """

    def __init__(
        self,
        app: App,
        gear: Gear,
        settings: Settings,
        *,
        execute: Callable[[Task, Claimed], Carrying] | None = None,
    ) -> None:
        self._app, self._gear, self._settings = app, gear, settings
        self._execute = execute or self._execution
        self._tenure: Tenure | None = None
        self._grace_s: float | None = None
        self._deadline: asyncio.Timeout | None = None
        self._stopping = asyncio.Event()
        self._log = logger("worker", app=app.name)

    async def run(self) -> None:
        """Work until `stop`. Ends when every run is finished, handed over or released.

        Raises:
            OperatorError: the database refuses this worker.
        """
        while not self._stopping.is_set():
            tenure = await self._registered()
            if tenure is None:
                return
            try:
                await tenure.work()
                if not tenure.lost:
                    await self._drain(tenure)
            finally:
                await tenure.left()
        self._log.info(LogEvent.WORKER_STOPPED)

    def stop(self, grace_s: float | None = None) -> None:
        """Claim no more, hand everything over, end. Called again with a shorter grace, it ends sooner.

        Args:
            grace_s: how long tools that must not run again may take to finish. Default: the setting.
        """
        self._grace_s = self._settings.grace_s if grace_s is None else grace_s
        self._stopping.set()
        if self._tenure is not None:
            self._tenure.stop()
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._grace_s)

    def force(self) -> None:
        """Release what can be released within a second, from any thread, though the event loop be blocked."""
        if self._tenure is not None:
            self._tenure.force()

    async def _registered(self) -> Tenure | None:
        """A new worker id and its lease; None when told to stop before the database could be reached."""
        registering = asyncio.create_task(self._register())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({registering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not registering.done():
                return None
            self._tenure = registering.result()
        finally:
            registering.cancel()
            stopping.cancel()
        if self._stopping.is_set():
            self._tenure.stop()
        return self._tenure

    async def _register(self) -> Tenure:
        serves = {name: [task.version] for name, task in self._app.tasks.items()}

        async def register() -> tuple[UUID, float]:
            # A new id for each attempt: one whose reply was lost may have been registered.
            worker, registered_at = self._gear.new_id(), now()
            await register_worker(
                self._gear.db, worker, socket.gethostname(), os.getpid(), serves, self._settings.lease_s
            )
            return worker, registered_at

        worker, registered_at = await patiently("register", register)
        self._log.info(
            LogEvent.WORKER_STARTED,
            worker=str(worker),
            pid=os.getpid(),
            slots=self._settings.slots,
            tasks=sorted(self._app.tasks),
        )
        return Tenure(
            worker=worker,
            registered_at=registered_at,
            app=self._app,
            gear=self._gear,
            settings=self._settings,
            verbs=LeaseVerbs(self._gear.db, self._settings.lease_s),
            execute=self._execute,
        )

    async def _drain(self, tenure: Tenure) -> None:
        grace_s = self._grace_s or 0.0
        self._log.info(LogEvent.WORKER_DRAINING, runs=len(tenure.carried.holding), grace_s=grace_s)
        self._deadline = asyncio.timeout(grace_s)
        await tenure.drain(self._deadline)
        self._deadline = None

    def _execution(self, task: Task, claimed: Claimed) -> Carrying:
        from holdfast.engine.execution import Execution

        assert self._tenure is not None
        return Execution(task, claimed, self._gear, self._tenure.lease)
