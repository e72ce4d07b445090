"""`holdfast demo halt`: 100 live runs are stopped in the middle of moving money, and go on as if nothing had been."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from holdfast.cli.demo.bank import Bank
from holdfast.cli.demo.promises import Promise
from holdfast.cli.demo.show import Teller, show
from holdfast.cli.demo.stage import PATIENCE_S, Stage
from holdfast.cli.halts.showing import three_times
from holdfast.domain.events import INTENTS
from holdfast.domain.halts import HaltScope
from holdfast.domain.state import RunState
from holdfast.observe.logs import set_up_logs
from holdfast.service import halts
from holdfast.service.existing import existing_run
from holdfast.service.start_run import start_run
from holdfast.store.hashing import verify_chain
from holdfast.wiring import Installation, load_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from holdfast.cli.demo.bank import Ledger
    from holdfast.cli.exits import ExitCode
    from holdfast.service.halt_views import HaltReport
    from holdfast.service.services import Services
    from holdfast.store.hashing import StoredEvent

RUNS = 100
APP = "holdfast.cli.demo.halt_app:app"
_WORKERS = ("worker A", "worker B")
_LOOK_S = 0.1


def play(*, keep: bool, as_json: bool) -> ExitCode:
    """Halt a task while all its runs are under way, lift the halt, and look up what was done meanwhile."""
    return show(_play, keep=keep, as_json=as_json)


async def _play(stage: Stage, teller: Teller) -> list[Promise]:
    with Bank(stage.directory / "bank.sqlite3") as bank:
        stage.prepare(bank.url)
        os.environ["HOLDFAST_SLOTS"] = str(RUNS)
        set_up_logs("warning")
        try:
            async with AsyncExitStack() as stack:
                installation = await stack.enter_async_context(Installation.open(stage.settings))
                for name in _WORKERS:
                    stage.start_worker(name, APP)
                app = await asyncio.to_thread(load_app, APP)
                services = await stack.enter_async_context(installation.api(app))
                return await _Play(stage, teller, services, bank.ledger).play()
        finally:
            stage.end()


class _Play:
    def __init__(self, stage: Stage, teller: Teller, services: Services, ledger: Ledger) -> None:
        self._stage, self._say, self._services, self._ledger = stage, teller.say, services, ledger
        self._runs: list[UUID] = []

    async def play(self) -> list[Promise]:
        """The whole of it.

        Raises:
            DemoFailed: it could not be played to the end.
        """
        services, caller = self._services, self._services.caller
        self._runs = [(await start_run(services, caller, "refunds", "20.00 for a taxi")).id for _ in range(RUNS)]
        self._say(f"{RUNS} runs are started; two workers carry them. Each looks something up and moves 20.00 once.")
        await self._stage.until(lambda: self._booked() >= RUNS // 4, "money is being moved", *_WORKERS)
        report, _ = await halts.declare_halt(services, caller, HaltScope.TASK, "refunds", reason="wrong amounts?")
        self._say("holdfast halt --task refunds: from here on nothing new is begun.", "bold")
        report = await self._settled(report)
        booked = self._booked()
        for name, at in three_times(report):
            after_s = "-" if at is None else f"{(at - report.at).total_seconds():+.3f} s"
            self._say(f"  {name}: {after_s}")
        self._say(f"  {report.workers} worker processes know, nothing is under way. {booked} refunds are booked.")
        states = await self._states()
        await asyncio.sleep(1)
        still = self._booked() == booked
        lifted = await halts.lift_halt(services, caller, report.id)
        self._say("holdfast halt lift: what was held back goes on where it stood.", "bold")
        await self._finished()
        self._say(f"All {RUNS} runs have ended.")
        return [
            Promise("every run was held back or had ended", not states[RunState.RUNNING], _told(states)),
            Promise("nobody moved money while the halt was in force", still, f"{booked} refunds before and after"),
            *await self._kept(report, lifted),
        ]

    async def _kept(self, report: HaltReport, lifted: HaltReport) -> list[Promise]:
        states = await self._states()
        keys = Counter(booking.key for booking in self._ledger.bookings())
        once = len(keys) == RUNS and set(keys.values()) == {1} and len(self._ledger.requests("/refunds")) == RUNS
        journals = [await self._journal(run) for run in self._runs]
        broken = sum(not whole for whole, _ in journals)
        assert lifted.lifted_at is not None
        late = [
            event
            for _, events in journals
            for event in events
            if event.type in INTENTS and report.at < event.at < lifted.lifted_at
        ]
        return [
            Promise("all runs finished", states == {RunState.SUCCEEDED: RUNS}, _told(states)),
            Promise("the bank's own ledger shows each refund once, asked for once", once, f"{len(keys)} refunds"),
            Promise("no intent was written between the halt and its end", not late, f"{len(late)} found"),
            Promise("every journal verifies", not broken, f"{RUNS - broken} of {RUNS}"),
        ]

    async def _journal(self, run: UUID) -> tuple[bool, list[StoredEvent]]:
        tenant = self._services.caller.tenant
        events = await self._services.reader.journal(tenant, run)
        head = (await existing_run(self._services, self._services.caller, run)).head
        return verify_chain(tenant, run, events) is None and events[-1].hash == head, events

    async def _settled(self, report: HaltReport) -> HaltReport:
        async with asyncio.timeout(PATIENCE_S):
            while not report.settled:
                await asyncio.sleep(_LOOK_S)
                report = await halts.get_halt(self._services, self._services.caller, report.id)
        # What was cancelled parks a moment later, by way of a commit.
        await self._until_states(lambda states: not states[RunState.RUNNING])
        return await halts.get_halt(self._services, self._services.caller, report.id)

    async def _finished(self) -> None:
        await self._until_states(lambda states: sum(states[state] for state in states if state.is_final) == RUNS)

    async def _until_states(self, so: Callable[[Counter[RunState]], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not so(await self._states()):
                self._stage.check(*_WORKERS)
                await asyncio.sleep(_LOOK_S)

    async def _states(self) -> Counter[RunState]:
        rows = [await existing_run(self._services, self._services.caller, run) for run in self._runs]
        return Counter(row.state for row in rows)

    def _booked(self) -> int:
        return len(self._ledger.bookings())


def _told(states: Counter[RunState]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
