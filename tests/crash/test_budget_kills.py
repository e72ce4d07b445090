"""Budgets under random kills: nothing is reserved beyond them, nothing stays held, and what is spent is accounted for.

One budget has no limit to speak of, one is of each run, and one is always nearly spent: it is raised a little with each
kill, so that runs wait for it, for what others hold of it, and go on. `make test` kills 12 times, `make test-long`
1,000 times; CRASH_KILLS and CRASH_SEED choose otherwise.
"""

import os
import random
import time

import pytest
from crash_app import SCENARIOS
from crash_scene import Scene
from test_random_kills import Chaos

from holdfast.domain.budgets import Allowance
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.service.services import LOCAL
from holdfast.service.set_budget import set_budget

A_LITTLE = 24_000
"""Tokens that are left of the tight budget: enough for a few requests at a time."""

HELD = """
select count(*) from holdfast.budget_windows w where w.held <> (
  select coalesce(sum(x.amount), 0) from holdfast.reservations v,
    unnest(v.budgets, v.owners, v.since, v.amounts) as x (budget, owner, since, amount)
  where v.tenant = w.tenant and not v.estimated and x.budget = w.budget and x.owner = w.owner and x.since = w.since)
"""
BEYOND = """
select count(*) from holdfast.budget_windows w join holdfast.budgets b on b.tenant = w.tenant and b.id = w.budget
where w.spent + w.held - w.overran > b.amount + w.extra
"""

TOP_UP = """
select holdfast.set_budget(%s, b.id, b.scope, b.key, b.unit, b.per, w.spent + w.held + %s, 'somebody')
from (select set_config('holdfast.tenant', %s, true)) as t, holdfast.budgets b
join holdfast.budget_windows w on w.tenant = b.tenant and w.budget = b.id where b.id = %s
"""


@pytest.mark.timeout(170)
async def test_budgets_hold_under_a_few_kills(scene: Scene, peace):
    await campaign(scene, peace, kills=12)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_budgets_hold_under_a_thousand_kills(scene: Scene, peace):
    await campaign(scene, peace, kills=int(os.environ.get("CRASH_KILLS", "1000")))


async def campaign(scene: Scene, peace, kills: int) -> None:
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    print(f"\nbudget kills: seed {seed}")
    peaceful = {scenario: await peace(scenario) for scenario in SCENARIOS}
    chaos = BudgetedChaos(scene, peaceful, random.Random(seed))
    await chaos.begin()
    await chaos.rage(kills)
    told = chaos.account()
    print(f"budget kills: kills {chaos.kills}, runs {chaos.found.runs}, {told} (seed {seed})")
    assert chaos.found.is_clean, "\n".join(chaos.found.wrong)
    assert told["parked"] > 0, "no budget was ever without room: nothing was tried"


class BudgetedChaos(Chaos):
    """The same, of a tenant with budgets."""

    async def begin(self) -> None:
        """Set them."""
        self._budgets = {name: await self._set(name, allowance) for name, allowance in (
            ("requests", "1000000requests/ever"), ("tokens", "900000000tokens/month"), ("run", "9000000tokens/run"),
        )}  # fmt: skip
        self._budgets["tight"] = await self._set(
            "tight", "1tokens/ever"
        )  # the first runs wait before they ask anything

    async def _set(self, name: str, allowance: str):
        scope, key = ("user", "*") if name == "tight" else ("tenant", "")
        view, _ = await set_budget(self._scene.services, LOCAL, scope, key, Allowance.parse(allowance))
        return view.id

    def _events(self) -> int:
        """Where all wait for the tight budget, somebody raises it."""
        waiting = self._one(
            "select count(*) filter (where waiting_on = 'budget') = count(*) from holdfast.runs"
            " where state not in ('succeeded', 'failed', 'cancelled')"
        )
        if waiting:
            self._scene.connection.execute(
                TOP_UP, [DEFAULT_TENANT, A_LITTLE, str(DEFAULT_TENANT), self._budgets["tight"]]
            )
        return super()._events()

    async def _kill_one(self) -> None:
        self.check()
        await self._allow(self._one("select coalesce(sum(spent), 0) from holdfast.budget_windows where budget = %s",
                                    self._budgets["tight"]) + A_LITTLE)  # fmt: skip
        await super()._kill_one()

    async def _allow(self, tokens: int) -> None:
        await self._set("tight", f"{tokens}tokens/ever")

    async def _let_end(self) -> None:
        await self._allow(10**9)

    def check(self) -> None:
        """What is true at every moment."""
        assert self._one(HELD) == 0, "a window holds what no reservation says"
        assert self._one(BEYOND) == 0, "more was reserved than there was"

    def account(self) -> dict[str, int]:
        """What is true at the end."""
        self.check()
        assert self._one("select count(*) from holdfast.reservations where not estimated") == 0, "something stays held"
        asked = self._one(
            "select count(*) from holdfast.events where type = 'model_requested' and body::text like %s",
            '%"reserved":true%',
        )
        spent = "select coalesce(sum(spent), 0)::bigint from holdfast.budget_windows where budget = %s"
        assert self._one(spent, self._budgets["requests"]) == asked
        used = self._one(
            "select coalesce(sum(input_tokens + output_tokens), 0)::bigint from holdfast.ledger where kind = 'model'"
        )
        guessed = self._one(
            "select coalesce(sum(v.amounts[array_position(v.budgets, %s)]), 0)::bigint from holdfast.reservations v",
            self._budgets["tokens"],
        )
        tokens = self._one(spent, self._budgets["tokens"])
        assert used <= tokens <= used + guessed, (used, tokens, guessed)
        assert tokens == self._one(spent, self._budgets["run"])
        return {
            "requests": asked,
            "tokens": tokens,
            "estimated": self._one("select count(*) from holdfast.reservations"),
            "overruns": self._one("select count(*) from holdfast.overruns where budget = %s", self._budgets["tokens"]),
            "parked": self._one(
                "select count(*) from holdfast.events where type = 'run_parked' and body::text like %s",
                '%"waiting_on":"budget"%',
            ),
        }

    def _one(self, statement: str, *values):
        return self._scene.connection.execute(statement, values)[0][0]
