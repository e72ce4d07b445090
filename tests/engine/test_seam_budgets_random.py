"""Runs made up at random, that die at random: what budgets have spent is what the ledger has, and what nobody knows."""

from random import Random

import pytest
from tests.engine.lab import WHO, die_at
from tests.engine.test_seam_budgets import allow, ledger, sql
from tests.engine.test_seam_costs_random import BOOK, POINTS, agents

from holdfast.service.check_costs import compare

PLENTY = "900000usd/month"


@pytest.mark.parametrize("seed", range(10))
async def test_budgets_are_settled_with_what_the_ledger_has(make_lab, seed):
    r = Random(seed)
    outer, inner = agents(r)
    lab = await make_lab(outer, agents=[inner], stream=False)
    lab.prices = BOOK
    # What comes of an unpriced model is not known: where money has no limit it is asked nonetheless.
    whole = allow(lab, PLENTY)
    others = [allow(lab, PLENTY, scope) for scope in ("user:*", "task:task", "feature:*")]
    runs = [allow(lab, "900000usd/run"), allow(lab, "9000000requests/ever", "model:*")]
    await lab.start(labels={"feature": "a"})
    for _ in range(60):
        ended = await lab.work(probe=die_at(r.choice(POINTS), r.randrange(1, 6)))
        check(lab)
        if ended == "finished":
            break
    else:
        assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert await compare(lab.services, WHO, lab.run) == []
    check(lab)
    assert sql(lab, "select count(*) from holdfast.reservations where not estimated") == [(0,)]
    assert sql(lab, "select count(*) from holdfast.budget_windows where held <> 0") == [(0,)]
    spent = dict(sql(lab, "select budget, spent from holdfast.budget_windows"))
    assert {spent[budget] for budget in [*others, runs[0]]} == {spent[whole]}
    guessed = sql(
        lab,
        "select coalesce(sum(v.amounts[array_position(v.budgets, %s)]), 0)::bigint from holdfast.reservations v", whole,
    )[0][0]  # fmt: skip
    paid = await ledger(lab)
    assert paid <= spent[whole] <= paid + guessed
    if not guessed:
        assert spent[whole] == paid


def check(lab) -> None:
    """At every moment each window holds what its reservations say, and nothing else."""
    rows = sql(
        lab,
        "select w.held, coalesce(sum(x.amount), 0) from holdfast.budget_windows w left join"
        " (select v.tenant, u.* from holdfast.reservations v,"
        "  unnest(v.budgets, v.owners, v.since, v.amounts) as u (budget, owner, since, amount) where not v.estimated) x"
        " using (tenant, budget, owner, since) group by w.tenant, w.budget, w.owner, w.since, w.held",
    )
    assert all(held == reserved for held, reserved in rows), rows
