"""What happens in the demo, told as it happens."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from holdfast.cli.demo.bank import Bank
from holdfast.cli.demo.promises import Promise, check_promises
from holdfast.cli.demo.show import Teller, show
from holdfast.cli.demo.stage import LEASE_S, DemoFailed, Stage
from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import plain
from holdfast.domain.state import RunState, WaitingOn
from holdfast.observe.logs import set_up_logs
from holdfast.service.decide_approval import decide_approval
from holdfast.service.get_run import get_run
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.names import name_of
from holdfast.service.start_run import start_run
from holdfast.service.wait_for_run import wait_for_run
from holdfast.wiring import Installation, load_app

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.service.services import Services

SAYS = "I lost my card, and two payments on it are not mine: 20.00 for a taxi and 480.00 in a shop."
_PATIENCE_S = 60.0


def play(*, keep: bool, as_json: bool) -> ExitCode:
    """Kill a worker in the middle of a payment, and show that nothing is lost and nothing done twice."""
    return show(lambda stage, teller: _Play(stage, teller).play(), keep=keep, as_json=as_json)


class _Play:
    def __init__(self, stage: Stage, teller: Teller) -> None:
        self._stage, self._say = stage, teller.say

    async def play(self) -> list[Promise]:
        """The whole of it.

        Raises:
            DemoFailed: it could not be played to the end.
            HoldfastError: the embedded database cannot be had.
        """
        stage = self._stage
        with Bank(stage.directory / "bank.sqlite3") as bank:
            stage.prepare(bank.url)
            set_up_logs("warning")
            try:
                stage.start_model()
                async with Installation.open(stage.settings) as installation:
                    await stage.know_model()
                    pid = stage.start_worker("worker A")
                    app = await asyncio.to_thread(load_app, "holdfast.cli.demo.app:app")
                    async with installation.api(app) as services:
                        self._say(f"A database, a bank and a model are up. Worker A is process {pid}.")
                        return await self._acts(services, bank)
            finally:
                stage.end()

    async def _acts(self, services: Services, bank: Bank) -> list[Promise]:
        bank.withhold_next_answer()
        run = (await start_run(services, services.caller, "support", SAYS)).id
        self._say(f'A customer writes: "{SAYS}"')
        self._say(
            f"That is run {run}. Worker A takes it up: looks at the account, blocks the card, pays back the taxi."
        )
        await self._kill(bank)
        await self._approve(services, bank, run)
        view = await wait_for_run(services, services.caller, run, timeout_s=_PATIENCE_S)
        if view.state is not RunState.SUCCEEDED or view.output is None:
            error = view.error.message.value if view.error is not None else view.waiting_on
            raise DemoFailed(f"The run did not succeed: {view.state}, {error}.")
        self._say(f'Worker B pays back the shop and answers: "{view.output.value["reply"]}"')
        return await check_promises(services, run, bank.ledger, self._stage)

    async def _kill(self, bank: Bank) -> None:
        stage = self._stage
        await stage.until(bank.booked_unanswered.is_set, "the bank has booked the first refund", "worker A", "model")
        self._say("The bank has booked the 20.00 and not answered yet. Nobody but the bank knows that they are paid.")
        stage.kill("worker A")
        self._say("kill -9 worker A.", "bold red")
        bank.let_go()
        pid = stage.start_worker("worker B")
        self._say(f"Worker B starts, process {pid}. It may take the run once A's lease of {LEASE_S:.0f} s has run out.")
        await stage.until(lambda: len(bank.ledger.requests("/refunds")) > 1, "worker B carries on", "worker B", "model")
        self._say(
            "Worker B has the run. Nothing that had finished is done again; the refund that was cut off is asked for "
            "again, under the same key, and the bank answers: booked already."
        )

    async def _approve(self, services: Services, bank: Bank, run: UUID) -> None:
        await self._parked(services, run)
        waiting = (await list_tasks_to_decide(services, services.caller, run=run)).items
        asked = [task.args.value for task in waiting]
        if asked != [{"payment": "shop", "amount": "480.00"}]:
            raise DemoFailed(f"One approval was to be asked for, of 480.00 for the shop. Found: {asked}.")
        if any(booking.payment == "shop" for booking in bank.ledger.bookings()):
            raise DemoFailed(f"Before the approval the shop was not to be paid. Found: {bank.ledger.bookings()}.")
        self._say(
            "480.00 is above what the agent may pay by itself: the run waits for a person, as rows, in no worker."
        )
        decided = await decide_approval(services, services.caller, waiting[0].id, "approved", digest=waiting[0].digest)
        by = await name_of(services, services.caller.tenant, decided.decided_by or "")
        self._say(f"{by} approves exactly this: {decided.tool} {plain(decided.args.value)}.")

    async def _parked(self, services: Services, run: UUID) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            view = await get_run(services, services.caller, run)
            if view.state is RunState.PARKED and view.waiting_on is WaitingOn.APPROVAL:
                return
            self._stage.check("worker B", "model")
            if view.state.is_final or view.state is RunState.PARKED or time.monotonic() > deadline:
                raise DemoFailed(f"The run was to wait for an approval. It is {view.state} ({view.waiting_on}).")
            await wait_for_run(services, services.caller, run, timeout_s=0.1)
