"""Amounts that add up: decided on as they are in the commit of the intent, whoever else spends at the same moment."""

import asyncio
from typing import Any

import psycopg
import pytest
from pydantic_ai import ModelRetry
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_policy import Rules, payer, pending

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.guards.tally import Tally
from holdfast.service.decide_approval import resolve_effect


def daily(limit: int) -> Any:
    def rule(tool: str, args: Any, facts: Any) -> str | None:
        if tool != "pay" or args["amount"] * 10_000 + facts.tallies["paid"] <= limit * 10_000:
            return None
        return f"more than {limit} a day"

    return rule


def sums(lab: Any) -> list[tuple[str, int]]:
    with psycopg.connect(lab.admin_url) as connection:
        return connection.execute("select name, amount from holdfast.tallies order by since, owner").fetchall()


async def counting(make_lab: Any, made: Any, limit: int = 500, **more: Any) -> Any:
    lab = await make_lab(made, **more)
    lab.governor.policy = Rules(daily(limit), counted=("paid",))
    return lab


async def test_what_was_paid_before_counts(make_lab):
    ledger: list[Any] = []
    lab = await counting(make_lab, payer(ledger, 200))
    for _ in range(4):
        await lab.start()
        assert await lab.work() == "finished"
    assert len(ledger) == 2
    assert sums(lab) == [("paid", 4_000_000)]


async def test_a_call_that_was_begun_twice_counts_once(make_lab):
    ledger: list[Any] = []
    lab = await counting(make_lab, payer(ledger, 400))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(ledger) == 2
    assert sums(lab) == [("paid", 4_000_000)]


@pytest.mark.parametrize("allowed", [True, False])
async def test_what_a_person_says_was_not_done_counts_only_if_it_is_done_then(make_lab, allowed):
    ledger: list[Any] = []
    lab = await counting(make_lab, payer(ledger, 400, recovery=effect.once))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 2)), Died)
    assert await lab.work() == "parked"
    assert sums(lab) == [("paid", 4_000_000)], "it may have happened"
    [task] = await pending(lab)
    await resolve_effect(lab.services, WHO, task.id, "not_done", digest=task.digest)
    if not allowed:
        lab.governor.policy = Rules(daily(300), counted=("paid",))
    assert await lab.work() == "finished"
    assert (len(ledger), sums(lab)) == ((1, [("paid", 4_000_000)]) if allowed else (0, [("paid", 0)]))


async def test_a_call_that_its_tool_turns_down_does_not_count(make_lab):
    ledger: list[Any] = []
    made = agent([("pay", {"amount": 400}, "p1")], [("pay", {"amount": 300}, "p2")], "done")

    @made.tool_plain
    @effect.idempotent
    def pay(amount: int) -> str:
        if amount == 400:
            raise ModelRetry("not in one go")
        ledger.append(amount)
        return "paid"

    lab = await counting(make_lab, made)
    await lab.start()
    assert await lab.work() == "finished"
    assert ledger == [300]
    assert sums(lab) == [("paid", 3_000_000)]


async def test_calls_of_one_turn_see_one_another(make_lab):
    ledger: list[Any] = []
    made = agent([("pay", {"amount": 300}, f"p{i}") for i in range(6)], "done")

    @made.tool_plain
    @effect.idempotent
    async def pay(amount: int) -> str:
        await asyncio.sleep(0)
        ledger.append(amount)
        return "paid"

    lab = await counting(make_lab, made, limit=1000)
    await lab.start()
    assert await lab.work() == "finished"
    assert ledger == [300] * 3
    assert len(await lab.of(ev.CallDenied)) == 3
    assert sums(lab) == [("paid", 9_000_000)]


@pytest.mark.parametrize(("per", "paid"), [("principal", 1), ("tenant", 1), ("session", 3), ("run", 3)])
async def test_whose_amounts_add_up(make_lab, per, paid):
    ledger: list[Any] = []
    lab = await counting(make_lab, payer(ledger, 400))
    lab.governor.tallies = {"paid": Tally("paid", per=per)}
    for _ in range(3):
        await lab.start()
        assert await lab.work() == "finished"
    assert len(ledger) == paid
