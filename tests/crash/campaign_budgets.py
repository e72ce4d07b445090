"""The budgets of the campaign: a hierarchy, some of which are always nearly spent and raised little by little."""

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from campaign_app import MODELS
from crash_scene import Superuser
from uuid_utils.compat import uuid7

from holdfast.domain.budgets import Allowance, Scope
from holdfast.domain.errors import DatabaseUnavailable, RequestError
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.principal import Principal, PrincipalKind, Who
from holdfast.domain.rights import Role
from holdfast.service.cancel_run import cancel_run
from holdfast.service.services import LOCAL, Services
from holdfast.service.set_budget import raise_budget, set_budget
from holdfast.store.principals import create_principal

PEOPLE = ("Ann", "Ben", "Tess")
FEATURES = ("search", "report", "scarce")
WIDE: Sequence[tuple[Scope, str, str]] = (
    ("tenant", "", "900000usd/day"), ("tenant", "", "9000000000tokens/ever"), ("tenant", "", "90000000requests/hour"),
    ("user", "*", "90000usd/ever"), ("user", "*", "900000000tokens/day"), ("session", "*", "9000requests/day"),
    ("feature", "*", "900000000tokens/month"), ("task", "*", "9000000requests/week"), ("model", "*", "90000usd/month"),
    ("model", "*", "90000000tokens/run"),
)  # fmt: skip
"""Without limit to speak of: they have to add up."""
OF_A_RUN = "12000tokens/run"
"""What one run in some dozens has no room in, for good."""


@dataclass(frozen=True)
class Tight:
    """A budget that is nearly spent, and by how much it is raised where runs wait for it."""

    id: UUID
    step: int
    scope: Scope
    key: str
    unit: Any
    per: Any


WAITING = """
select r.id, r.principal, (e.body::json #>> '{e,budget}')::uuid as budget from holdfast.runs r
join holdfast.events e on e.tenant = r.tenant and e.run = r.id and e.seq = r.seq and e.type = 'run_parked'
where r.state = 'parked' and r.waiting_on = 'budget'
"""
STANDING = """
select amount, coalesce((select max(spent + held) from holdfast.budget_windows w where w.budget = b.id), 0)
from holdfast.budgets b where id = %s
"""


class Treasury:
    """Whoever sets budgets, and raises them where runs wait."""

    def __init__(self, services: Services, connection: Superuser, rng: random.Random) -> None:
        self._services, self._connection, self._rng = services, connection, rng
        self._tight: dict[UUID, Tight] = {}
        self._closed = set[UUID]()
        self._left = set[UUID]()
        self.people: list[Who] = []
        self.of_a_run = UUID(int=0)
        self.told = Counter[str]()

    async def found(self) -> None:
        """Make the people and the budgets."""
        for name in PEOPLE:
            id_, role = uuid7(), Role.USER
            kind = PrincipalKind.PERSON
            await create_principal(self._services.db, DEFAULT_TENANT, id_, kind=kind, name=name, roles=[role], by="me")
            self.people.append(
                Who.of(Principal(tenant=DEFAULT_TENANT, id=id_, kind=kind, name=name, roles=frozenset({role})))
            )
        for scope, key, allowance in WIDE:
            await self._set(scope, key, allowance)
        self.of_a_run = await self._set("tenant", "", OF_A_RUN)
        for scope, key, allowance, step in (
            ("tenant", "", "0.5usd/month", 6_000_000), ("user", "Tess", "2000tokens/ever", 24_000),
            ("feature", "scarce", "0.01usd/ever", 400_000), ("model", MODELS[1], "3requests/day", 60),
        ):  # fmt: skip
            id_, given = await self._set(scope, key, allowance), Allowance.parse(allowance)
            self._tight[id_] = Tight(id_, step, scope, key, given.unit, given.per)

    async def attend(self) -> None:
        """Raise what most of the waiting runs wait for; of runs that are over their own budget, each as it is drawn."""
        waiting = self._connection.execute(WAITING)
        for_what = Counter(budget for _, _, budget in waiting)
        for run, _, budget in waiting:
            if budget == self.of_a_run and run not in self._closed:
                await self._close(run)
        wanted = [(count, budget) for budget, count in for_what.items() if budget in self._tight]
        if wanted:
            await self._top_up(self._tight[max(wanted)[1]])

    def waits_for_good(self, run: UUID) -> bool:
        """Whether nobody will raise what it waits for."""
        return run in self._left

    async def _close(self, run: UUID) -> None:
        will = random.Random(str(run)).choices(["raised", "cancelled", "left"], [5, 4, 1])[0]
        self._closed.add(run)
        if will == "left":
            self._left.add(run)
        elif will == "cancelled":
            await self._repeated(lambda: cancel_run(self._services, LOCAL, run))
        else:
            asked = {"owner": str(run), "reason": "it may", "idempotency_key": str(run)}
            await self._repeated(lambda: raise_budget(self._services, LOCAL, self.of_a_run, "900000", **asked))
        self.told[f"of a run: {will}"] += 1

    async def _top_up(self, tight: Tight) -> None:
        amount, stands = self._connection.execute(STANDING, [tight.id])[0]
        more = stands + tight.step - amount
        if self._rng.random() < 0.5 and more > 0:
            await self._raised(tight, amount + more)
        else:
            text = f"{tight.step / 1_000_000:f}" if tight.unit == "usd" else str(tight.step)
            with suppress(DatabaseUnavailable):
                await raise_budget(self._services, LOCAL, tight.id, text, reason="little by little")
        self.told[f"raised {tight.scope}"] += 1

    async def _raised(self, tight: Tight, amount: int) -> None:
        allowance = Allowance(amount, tight.unit, tight.per)
        await self._repeated(lambda: set_budget(self._services, LOCAL, tight.scope, tight.key, allowance))

    async def _set(self, scope: Scope, key: str, allowance: str) -> UUID:
        view, _ = await set_budget(self._services, LOCAL, scope, key, Allowance.parse(allowance))
        return view.id

    async def _repeated(self, ask: Any) -> None:
        """Until the database is there: what is asked may be asked twice."""
        while True:
            try:
                await ask()
            except DatabaseUnavailable:
                continue
            except RequestError:
                pass  # the run ended meanwhile
            return
