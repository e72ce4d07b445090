"""The people of the bank: Ann, whose runs they are, and four administrators, one of whom may have lost the role.

They answer what they are asked as the plot of the run says, at moments of their own, through the use cases that the API
has. Of effects in doubt they say what the bank's books say.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from bank import Bank
from bank_app import paid
from bank_plot import Run
from crash_scene import Superuser
from uuid_utils.compat import uuid7

from holdfast.domain.errors import AlreadyDecided
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.principal import Principal, PrincipalKind, Who
from holdfast.domain.rights import Role
from holdfast.service.approval_errors import AlreadyVoted, DigestMismatch, MayNotDecide, RunStopping
from holdfast.service.approval_shapes import ApprovalView
from holdfast.service.decide_escalation import decide
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.services import LOCAL, Services
from holdfast.store import principals

ADMINS = ("Ben", "Cy", "Dee", "Eve")
TOLD = (AlreadyDecided, AlreadyVoted, DigestMismatch, MayNotDecide, RunStopping)
"""Somebody was first, it was too late, the role is gone, the run is to stop: nothing was changed."""


@dataclass
class Absence:
    """When somebody was surely without their role."""

    who: str
    since: datetime
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        return self.since < moment and (self.until is None or moment < self.until)


@dataclass
class People:
    """All who answer."""

    services: Services
    connection: Superuser
    bank: Bank
    rng: random.Random
    known: Mapping[str, Who] = field(default_factory=dict)
    absences: list[Absence] = field(default_factory=list)

    @classmethod
    async def gathered(cls, services: Services, connection: Superuser, bank: Bank, rng: random.Random) -> "People":
        """Made by somebody who is behind nothing."""
        known: dict[str, Who] = {}
        for name, role in (("Ann", Role.USER), *((name, Role.ADMIN) for name in ADMINS)):
            id_ = uuid7()
            await principals.create_principal(
                services.db, DEFAULT_TENANT, id_, kind=PrincipalKind.PERSON, name=name, roles=[role], by="founder"
            )
            known[name] = Who.of(
                Principal(tenant=DEFAULT_TENANT, id=id_, kind=PrincipalKind.PERSON, name=name, roles=frozenset({role}))
            )
        return cls(services, connection, bank, rng, known)

    @property
    def ann(self) -> Who:
        return self.known["Ann"]

    async def attend(self, runs: Mapping[UUID, Run]) -> None:
        """Some of them answer some of what waits, not all of it."""
        tasks = (await list_tasks_to_decide(self.services, LOCAL, limit=200)).items
        await asyncio.gather(
            *(self._answer(task, runs[task.run]) for task in tasks if task.run in runs and self.rng.random() < 0.7)
        )

    async def one_loses_the_role(self) -> None:
        """Or gets it back; never two at once."""
        if (last := self._absent()) is not None:
            last.until = self._now()
            await principals.grant_role(self.services.db, DEFAULT_TENANT, UUID(last.who), Role.ADMIN, by="founder")
            return
        who = self.known[self.rng.choice(ADMINS)].principal
        await principals.revoke_role(self.services.db, DEFAULT_TENANT, UUID(who), Role.ADMIN, by="founder")
        self.absences.append(Absence(who, self._now()))

    def was_absent(self, who: str, moment: datetime) -> bool:
        return any(absence.who == who and absence.holds(moment) for absence in self.absences)

    def was_ever_absent(self, who: str, before: datetime) -> bool:
        return any(absence.who == who and absence.since < before for absence in self.absences)

    def _absent(self) -> Absence | None:
        last = self.absences[-1] if self.absences else None
        return last if last is not None and last.until is None else None

    def _now(self) -> datetime:
        return self.connection.execute("select holdfast.now()")[0][0]

    async def _answer(self, task: ApprovalView, run: Run) -> None:
        payment = run.payment(task.args.value["order"])
        if task.kind == "in_doubt":
            await self._say_what_became(task, payment.tool)
            return
        admins = self.rng.sample(ADMINS, 2)
        match payment.will:
            case "silence":
                return
            case "reject":
                await self._say(self._one(task, admins), task, "rejected", reason="not this one")
            case "edit" if not task.edits and task.round == 1 and not task.agreed:
                edited = {"order": payment.order, "amount": payment.edited}
                await self._say(self._one(task, admins), task, "approved", args=edited)
            case "quarrel":  # at one moment
                await asyncio.gather(
                    self._say(self._one(task, admins), task, "approved"),
                    self._say(self._one(task, admins[1:]), task, "rejected", reason="no"),
                )
            case _:
                await self._say(self._one(task, admins), task, "approved")

    def _one(self, task: ApprovalView, admins: list[str]) -> str:
        return "Ann" if task.ask == "user" else admins[0]

    async def _say_what_became(self, task: ApprovalView, tool: str) -> None:
        assert task.key is not None
        args = task.args.value
        said: dict[str, Any] = {"verdict": "not_done"}
        if self.bank.has_paid(task.key):
            said = {"verdict": "done", "result": paid(tool, args["order"], args["amount"])}
        for name in ("Ann",) if task.ask == "user" else ADMINS if task.ask else ("Ben",):
            await self._say(name, task, **said)

    async def _say(self, name: str, task: ApprovalView, verdict: Any, **more: Any) -> None:
        with suppress(*TOLD):
            await decide(self.services, self.known[name], task.id, verdict, digest=task.digest, **more)
