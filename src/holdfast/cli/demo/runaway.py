"""`holdfast demo runaway`: an agent that never stops meets a loop's threshold, its limits, and the budget of a day."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from holdfast.cli.demo.installed import installed
from holdfast.cli.demo.promises import Promise, journal_verifies
from holdfast.cli.demo.show import Teller, show
from holdfast.cli.demo.stage import PATIENCE_S, DemoFailed, Stage
from holdfast.domain.budgets import Allowance
from holdfast.domain.events import RunParked, ToolFinished
from holdfast.domain.state import RunState, WaitingOn
from holdfast.service.decide_escalation import decide_escalation
from holdfast.service.get_run import get_run
from holdfast.service.list_budgets import show_budget
from holdfast.service.list_costs import list_costs
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.set_budget import raise_budget, set_budget
from holdfast.service.start_run import start_run
from holdfast.service.wait_for_run import wait_for_run

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.cli.exits import ExitCode
    from holdfast.service.approval_view import ApprovalView
    from holdfast.service.services import Services

APP = "holdfast.cli.demo.runaway_app:app"
DAY_USD, MORE_USD = "0.006", "0.050"
STEPS_RAISED = 13
_LOOK_S = 0.05


def play(*, keep: bool, as_json: bool) -> ExitCode:
    """Let an agent run away, and compare what the model provider counted with what the ledger has."""
    return show(_play, keep=keep, as_json=as_json)


async def _play(stage: Stage, teller: Teller) -> list[Promise]:
    stage.prepare("http://127.0.0.1:9/no-bank")
    async with installed(stage, APP, "runaway.yaml") as services:
        stage.start_worker("worker A", APP)
        return await _Play(stage, teller, services).play()


class _Play:
    def __init__(self, stage: Stage, teller: Teller, services: Services) -> None:
        self._stage, self._say, self._services = stage, teller.say, services
        self._runs: list[UUID] = []
        self._asked: dict[str, int] = {}

    async def play(self) -> list[Promise]:
        """The whole of it.

        Raises:
            DemoFailed: it could not be played to the end.
        """
        services, caller = self._services, self._services.caller
        self._say("An agent that asks for the weather in Rome, and again, and again.")
        loop = await self._stopped("watched", WaitingOn.ESCALATION)
        limit = await self._stopped("counted", WaitingOn.LIMIT)
        before = len(self._stage.requests_to_model())
        await self._raise_steps(limit)
        raised = len(self._stage.requests_to_model()) - before
        money = await self._stopped("priced", WaitingOn.LIMIT)
        budget, _ = await set_budget(services, caller, "tenant", "", Allowance.parse(f"{DAY_USD}usd/day"))
        self._say(f"holdfast budget set tenant {DAY_USD}usd/day", "bold")
        day = await self._stopped("loose", WaitingOn.BUDGET, "Say what to wear, and tell me when it is enough.")
        full = await show_budget(services, caller, budget.id)
        await raise_budget(services, caller, budget.id, MORE_USD, reason="the demo goes on")
        self._say(f"holdfast budget raise tenant/day/usd {MORE_USD}", "bold")
        answer = await self._ended(day)
        self._say(f'The run goes on where it stood, and ends: "{answer}"')
        spent = (await show_budget(services, caller, budget.id)).windows[0]
        return [
            await self._loop(loop),
            Promise("raised, the run went on exactly there, and no further", raised == 2, f"{raised} requests more"),  # noqa: PLR2004
            Promise(
                "nothing was reserved beyond the budget of the day",
                all(one.spent + one.held <= one.most for one in (*full.windows, spent)),
                f"{full.windows[0].spent} of {full.windows[0].most} USD when it stopped",
            ),
            Promise("what was reserved is settled", spent.held == 0, f"{spent.held} USD held"),
            await self._cost(money),
            await self._counted(),
            *[await journal_verifies(services, run) for run in self._runs],
        ]

    async def _stopped(self, task: str, waiting_on: WaitingOn, says: str = "What do I wear?") -> UUID:
        """Start a run and wait until something stops it; say what."""
        before = len(self._stage.requests_to_model())
        run = (await start_run(self._services, self._services.caller, task, says)).id
        self._runs.append(run)
        await self._parked(run, waiting_on)
        asked = len(self._stage.requests_to_model()) - before
        self._asked[task] = asked
        self._say(f"Task '{task}' is stopped after {asked} requests. {await self._why(run)}")
        return run

    async def _parked(self, run: UUID, waiting_on: WaitingOn) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                view = await get_run(self._services, self._services.caller, run)
                if view.state is RunState.PARKED and view.waiting_on is waiting_on:
                    return
                if view.state.is_final or view.state is RunState.PARKED:
                    raise DemoFailed(f"The run was to wait for {waiting_on}. It is {view.state}, {view.waiting_on}.")
                self._stage.check("worker A", "model")
                await asyncio.sleep(_LOOK_S)

    async def _why(self, run: UUID) -> str:
        events = await self._services.journal(self._services.caller.tenant, run)
        parked = [loaded for event in events if isinstance(loaded := event.load(), RunParked)]
        return parked[-1].why

    async def _raise_steps(self, run: UUID) -> None:
        task = await self._task(run)
        await decide_escalation(
            self._services, self._services.caller, task.id, "go_on", digest=task.digest, limits={"steps": STEPS_RAISED}
        )
        self._say(f"holdfast approvals decide --go-on --limit steps={STEPS_RAISED}", "bold")
        async with asyncio.timeout(PATIENCE_S):
            while all(one.id == task.id for one in await self._tasks(run)):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
        await self._parked(run, WaitingOn.LIMIT)
        self._say(f"It goes on, and is stopped again. {await self._why(run)}")

    async def _tasks(self, run: UUID) -> list[ApprovalView]:
        return (await list_tasks_to_decide(self._services, self._services.caller, run=run)).items

    async def _task(self, run: UUID) -> ApprovalView:
        [task] = await self._tasks(run)
        return task

    async def _ended(self, run: UUID) -> str:
        view = await wait_for_run(self._services, self._services.caller, run, timeout_s=PATIENCE_S)
        if view.state is not RunState.SUCCEEDED or view.output is None:
            raise DemoFailed(f"The run did not succeed: {view.state}, {view.waiting_on}.")
        return str(view.output.value)

    async def _loop(self, run: UUID) -> Promise:
        """The tool was entered as often as a loop is let go on, and no more."""
        events = await self._services.journal(self._services.caller.tenant, run)
        calls = sum(isinstance(event.load(), ToolFinished) for event in events)
        told = self._asked["watched"]
        return Promise("the loop was told to the model, then stopped", 0 < calls <= told <= 9, f"{told} requests")  # noqa: PLR2004

    async def _cost(self, run: UUID) -> Promise:
        costs = await list_costs(self._services, self._services.caller, by=["run"])
        cost = next((row.cost_usd for row in costs.items if row.key["run"] == str(run)), None)
        kept = cost is not None and cost <= Decimal("0.006")
        return Promise("the run that may cost 0.006 USD cost no more", kept, f"{cost} USD")

    async def _counted(self) -> Promise:
        requests = len(self._stage.requests_to_model())
        costs = await list_costs(self._services, self._services.caller)
        return Promise(
            "the model provider counted as many requests as the ledger has",
            requests == costs.total.model_requests,
            f"{requests} and {costs.total.model_requests}",
        )
