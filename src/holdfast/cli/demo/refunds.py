"""`holdfast demo refunds`: $50 goes, $500 asks the customer, $5,000 two administrators; none by night."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from holdfast.cli.demo.bank import Bank
from holdfast.cli.demo.installed import installed
from holdfast.cli.demo.promises import Promise, journal_verifies
from holdfast.cli.demo.show import Teller, show
from holdfast.cli.demo.stage import DemoFailed, Stage
from holdfast.domain.errors import RequestError
from holdfast.domain.events import ApprovalDecided, CallDenied
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.domain.state import RunState, WaitingOn
from holdfast.service.decide_approval import decide_approval
from holdfast.service.get_run import get_run
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.manage_principals import invite_principal
from holdfast.service.start_run import start_run
from holdfast.service.wait_for_run import wait_for_run

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.cli.exits import ExitCode
    from holdfast.service.services import Services

APP = "holdfast.cli.demo.refunds_app:app"
SAYS = (
    "50.00 for a taxi, 500.00 in a shop and 5000.00 for a car were not me. Give them back, and write to "
    "ann@home.example when it is done."
)
_BY_NIGHT = "It is me again, by night: 20.00 for a taxi, too."
_NOON, _MIDNIGHT = 12, 23
_PATIENCE_S = 90.0


def play(*, keep: bool, as_json: bool) -> ExitCode:
    """Have refunds decided by policy and people, and look up in the bank's ledger what was paid."""
    return show(_play, keep=keep, as_json=as_json)


async def _play(stage: Stage, teller: Teller) -> list[Promise]:
    with Bank(stage.directory / "bank.sqlite3") as bank:
        stage.prepare(bank.url)
        async with installed(stage, APP, "refunds.yaml") as services:
            return await _Play(stage, teller, services, bank).play()


class _Play:
    def __init__(self, stage: Stage, teller: Teller, services: Services, bank: Bank) -> None:
        self._stage, self._say, self._services, self._ledger = stage, teller.say, services, bank.ledger
        self._people: dict[str, Who] = {}
        self._refusals: dict[str, str] = {}

    async def play(self) -> list[Promise]:
        """The whole of it.

        Raises:
            DemoFailed: it could not be played to the end.
        """
        stage = self._stage
        for name, role in (("Ann", Role.USER), ("Ben", Role.ADMIN), ("Cy", Role.ADMIN)):
            await self._invite(name, role)
        self._say("A bank, its policy (refunds.cedar), Ann who is a customer, Ben and Cy who are administrators.")
        stage.start_worker("worker A", APP, env="prod", time_zone=_zone_where_it_is(_NOON))
        run = (await start_run(self._services, self._people["Ann"], "refunds", SAYS)).id
        self._say(f'Ann writes: "{SAYS}"')
        asked = await self._asked(run)
        self._say("50.00 is paid. The rest waits, as rows: 500.00 asks Ann herself, 5000.00 two administrators.")
        stage.kill("worker A")
        await self._decide(asked)
        stage.start_worker("worker B", APP, dies_at="intent.before:1", env="prod", time_zone=_zone_where_it_is(_NOON))
        await stage.died("worker B", "model")
        self._say("Worker B took the run up and died between the approvals and the payments.", "bold red")
        paid = {booking.payment for booking in self._ledger.bookings()}
        stage.start_worker("worker C", APP, env="prod", time_zone=_zone_where_it_is(_NOON))
        by_day = await self._ended(run)
        self._say(f'Worker C pays both and answers: "{by_day}"')
        stage.kill("worker C")
        stage.start_worker("worker D", APP, env="prod", time_zone=_zone_where_it_is(_MIDNIGHT))
        night = (await start_run(self._services, self._people["Ann"], "refunds", _BY_NIGHT)).id
        by_night = await self._ended(night)
        self._say(f'By night Ann asks for 20.00 more. She is told: "{by_night}"')
        return [
            *self._bank(paid),
            self._refused("the requester", "Ann"),
            self._refused("an administrator who had agreed already", "Ben"),
            await self._agreed(run),
            await self._denied(run, "send_email", "recipient"),
            await self._denied(night, "issue_refund", "night"),
            await journal_verifies(self._services, run),
            await journal_verifies(self._services, night),
        ]

    async def _invite(self, name: str, role: Role) -> None:
        made = await invite_principal(self._services, self._services.caller, name, roles=[role])
        who = Who(self._services.caller.tenant, str(made.id), rights_of([role]), roles=frozenset({role}))
        self._people[name] = who

    async def _asked(self, run: UUID) -> dict[str, tuple[UUID, str]]:
        """What waits for people, by amount: the task and its digest."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                view = await get_run(self._services, self._services.caller, run)
                if view.state is RunState.PARKED and view.waiting_on is WaitingOn.APPROVAL:
                    break
                self._stage.check("worker A", "model")
                if view.state.is_final:
                    raise DemoFailed(f"The run was to wait for people. It is {view.state}.")
                await wait_for_run(self._services, self._services.caller, run, timeout_s=0.1)
        waiting = (await list_tasks_to_decide(self._services, self._services.caller, run=run)).items
        asked = {f"{task.args.value['amount']} asks {task.ask}": (task.id, task.digest) for task in waiting}
        if set(asked) != {"500.00 asks user", "5000.00 asks two admins"}:
            raise DemoFailed(f"Two questions were to be asked. Found: {', '.join(asked)}.")
        return asked

    async def _decide(self, asked: dict[str, tuple[UUID, str]]) -> None:
        own, large = asked["500.00 asks user"], asked["5000.00 asks two admins"]
        await self._approve("Ann", own)
        self._say("Ann confirms the 500.00, and tries to approve the 5000.00 as well.")
        for name in ("Ann", "Ben", "Ben", "Cy"):
            try:
                await self._approve(name, large)
            except RequestError as error:
                self._refusals[name] = str(error)
                self._say(f"{name} is refused: {error}")
            else:
                self._say(f"{name} agrees to the 5000.00.")

    async def _approve(self, name: str, task: tuple[UUID, str]) -> None:
        await decide_approval(self._services, self._people[name], task[0], "approved", digest=task[1])

    async def _ended(self, run: UUID) -> str:
        view = await wait_for_run(self._services, self._services.caller, run, timeout_s=_PATIENCE_S)
        if view.state is not RunState.SUCCEEDED or view.output is None:
            error = view.error.message.value if view.error is not None else view.waiting_on
            raise DemoFailed(f"The run did not succeed: {view.state}, {error}.")
        return str(view.output.value)

    def _bank(self, before: set[str]) -> list[Promise]:
        booked = sorted((booking.cents, booking.payment) for booking in self._ledger.bookings())
        found = ", ".join(f"{payment} {cents / 100:.2f}" for cents, payment in booked)
        expected = [(50_00, "taxi"), (500_00, "shop"), (5_000_00, "car")]
        letters = self._ledger.letters()
        return [
            Promise("the bank's own ledger shows each of the three refunds once", booked == expected, found),
            Promise(
                "before anybody had agreed, and when the worker died, only the small one was paid",
                before == {"taxi"},
                ", ".join(sorted(before)),
            ),
            Promise("only Ann was written to", letters == ["ann@home.example"], "; ".join(letters)),
        ]

    def _refused(self, who: str, name: str) -> Promise:
        return Promise(f"{who} could not approve", name in self._refusals, self._refusals.get(name, "no refusal"))

    async def _agreed(self, run: UUID) -> Promise:
        events = await self._services.journal(self._services.caller.tenant, run)
        decided = [loaded for event in events if isinstance(loaded := event.load(), ApprovalDecided)]
        voters = [len(set(one.voters or [one.by])) for one in decided]
        return Promise(
            "the journal says that one person confirmed, and that two agreed", sorted(voters) == [1, 2], f"{voters}"
        )

    async def _denied(self, run: UUID, tool: str, rule: str) -> Promise:
        events = await self._services.journal(self._services.caller.tenant, run)
        denied = [(loaded.tool, loaded.rules) for event in events if isinstance(loaded := event.load(), CallDenied)]
        found = ", ".join(f"{name} by {' '.join(rules)}" for name, rules in denied)
        return Promise(f"{tool} was refused by the rule '{rule}'", denied == [(tool, [rule])], found)


def _zone_where_it_is(hour: int) -> str:
    """A time zone in which it is about that hour now."""
    behind = (datetime.now(UTC).hour - hour) % 24
    # "Etc/GMT+3" is three hours behind; there are fourteen ahead and twelve behind.
    return f"Etc/GMT+{behind}" if behind <= 12 else f"Etc/GMT-{24 - behind}"  # noqa: PLR2004
