"""Budgets around a run: nothing is sent that one has no room for, and what was used is settled, whatever dies."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic_ai import Agent, ApprovalRequired, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ModelHTTPError, RetryModelRequest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_costs import BOOK, Model, priced
from tests.engine.test_seam_halts import halt, lift
from tests.engine.test_seam_money import EACH, SHORT, stepping, steps

import holdfast
from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.budgets import Allowance, read_scope
from holdfast.domain.halts import HaltScope
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.engine import affording
from holdfast.engine.usage import is_measured
from holdfast.service.cancel_run import cancel_run
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide


def sql(lab: Any, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(lab.admin_url, autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []


def allow(lab: Any, allowance: str, scope: str = "tenant") -> Any:
    """Set a budget, as the API does."""
    given, (kind, key) = Allowance.parse(allowance), read_scope(scope)
    with psycopg.connect(lab.api_db.url, autocommit=True) as api, api.transaction():
        api.execute("select set_config('holdfast.tenant', %s, true)", [str(DEFAULT_TENANT)])
        row = api.execute(
            "select budget from holdfast.set_budget(%s, %s, %s, %s, %s, %s, %s, 'me')",
            [DEFAULT_TENANT, uuid4(), kind, key, given.unit, given.per, given.amount],
        ).fetchone()
    assert row is not None
    return row[0]


def standing(lab: Any, budget: Any) -> tuple[int, int]:
    """What is spent and what is held."""
    rows = sql(lab, "select spent, held from holdfast.budget_windows where budget = %s", budget)
    return rows[0] if rows else (0, 0)


async def ledger(lab: Any) -> int:
    return sql(lab, "select coalesce(sum(cost_usd_micros), 0)::bigint from holdfast.ledger")[0][0]


async def test_what_a_run_used_is_what_its_budget_has_spent(make_lab):
    model = Model(*steps(3))
    lab = await priced(make_lab, stepping(model))
    budget, tokens, requests = allow(lab, "1usd/day"), allow(lab, "100000tokens/day"), allow(lab, "9requests/day")
    await lab.start()
    assert await lab.work() == "finished"
    assert standing(lab, budget) == (4 * EACH, 0)
    assert standing(lab, budget)[0] == await ledger(lab)
    used = [event.usage for event in await lab.of(ev.ModelResponded)]
    assert standing(lab, tokens) == (sum(one.input_tokens + one.output_tokens for one in used), 0)
    assert standing(lab, requests) == (4, 0)
    assert all(event.reserved for event in await lab.of(ev.ModelRequested))
    assert sql(lab, "select count(*) from holdfast.reservations") == [(0,)]
    assert sql(lab, "select count(*) from holdfast.overruns") == [(0,)]


async def test_a_run_without_budgets_reserves_nothing(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model))
    await lab.start()
    assert await lab.work() == "finished"
    assert not any(event.reserved or event.bound for event in await lab.of(ev.ModelRequested))


async def test_it_parks_before_the_request_that_a_budget_has_no_room_for_and_goes_on_when_raised(make_lab):
    model = Model(*steps(4))
    lab = await priced(make_lab, stepping(model))
    budget = allow(lab, "0.009usd/day")
    await lab.start()
    assert await lab.work() == "parked"
    before = model.asked
    assert 1 <= before < 5
    assert standing(lab, budget) == (before * EACH, 0)
    [parked] = await lab.of(ev.RunParked)
    assert parked.waiting_on == "budget"
    assert "The budget of the tenant for a day has no room" in parked.why
    [(wake_at,)] = sql(lab, "select wake_at > now() from holdfast.runs")
    assert wake_at is True
    allow(lab, "1usd/day")
    assert sql(lab, "select state from holdfast.runs") == [("queued",)]
    assert await lab.work() == "finished"
    assert model.asked == 5
    assert standing(lab, budget) == (5 * EACH, 0)


async def test_a_task_may_have_its_runs_fail_where_a_budget_is_spent(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model), on_limit="fail")
    allow(lab, "0.0001usd/ever")
    await lab.start()
    assert await lab.work() == "finished"
    [failed] = await lab.of(ev.RunFailed)
    assert failed.error == "BudgetSpent"
    assert model.asked == 0


async def test_an_attempt_that_a_crash_cut_off_is_held_then_settled_at_its_bound(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model))
    budget = allow(lab, "1usd/day")
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.answered")), Died)
    [asked] = await lab.of(ev.ModelRequested)
    assert standing(lab, budget) == (0, asked.bound_usd_micros)
    assert await lab.work() == "finished"
    assert standing(lab, budget) == (asked.bound_usd_micros + EACH, 0)
    assert sql(lab, "select estimated, attempt from holdfast.reservations") == [(True, 1)]


async def test_a_run_that_ends_after_a_crash_leaves_nothing_held(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model))
    budget = allow(lab, "1usd/day")
    await lab.start()
    await lab.work(probe=die_at("model.answered"))
    await cancel_run(lab.services, WHO, lab.run)
    assert await lab.work() == "finished"
    [asked] = await lab.of(ev.ModelRequested)
    assert standing(lab, budget) == (asked.bound_usd_micros, 0)


async def test_whoever_takes_up_a_run_settles_what_was_left_though_it_can_do_no_more(make_lab):
    lab = await priced(make_lab, stepping(Model("done")))
    budget = allow(lab, "1usd/day")
    await lab.start()
    await lab.work(probe=die_at("model.answered"))
    [asked] = await lab.of(ev.ModelRequested)
    allow(lab, "0usd/day")
    assert await lab.work() == "parked"
    assert standing(lab, budget) == (asked.bound_usd_micros, 0)


async def test_a_run_that_ends_over_a_call_that_was_cut_off_leaves_nothing_held(make_lab):
    lab = await priced(make_lab, stepping(Model(*steps(1)), cost="0.02"))
    budget = allow(lab, "1usd/day")
    await lab.start()
    await lab.work(probe=die_at("outcome.before"))
    assert standing(lab, budget) == (EACH, 20_000)
    await cancel_run(lab.services, WHO, lab.run)
    assert await lab.work() == "finished"
    assert standing(lab, budget) == (EACH + 20_000, 0)
    assert sql(lab, "select estimated from holdfast.reservations") == [(True,)]


async def test_a_request_that_its_provider_refused_costs_nothing(make_lab):
    model = Model(ModelHTTPError(429, "priced-one"), "done")
    lab = await priced(make_lab, stepping(model))
    budget, requests = allow(lab, "1usd/day"), allow(lab, "9requests/day")
    await lab.start()
    await lab.work()
    assert standing(lab, budget) == (0, 0)
    assert standing(lab, requests) == (1, 0)


async def test_a_request_that_never_got_to_its_provider_used_nothing(make_lab):
    lab = await priced(make_lab, stepping(Model(ConnectionRefusedError("nobody there"))))
    money, tokens = allow(lab, "1usd/day"), allow(lab, "99999tokens/day")
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("failed")
    assert (standing(lab, money), standing(lab, tokens)) == ((0, 0), (0, 0))
    assert sql(lab, "select count(*) from holdfast.reservations") == [(0,)]


async def test_a_request_that_a_halt_kept_from_its_provider_used_nothing(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model))
    money, tokens = allow(lab, "1usd/day"), allow(lab, "99999tokens/day")
    await lab.start()
    halted = await halt(lab, HaltScope.RUN, str(uuid4()))
    aimed = replace(halted, key=str(lab.run))

    def probe(point: str) -> None:
        if point == "model.sending":
            sql(lab, "update holdfast.halts set key = %s", str(lab.run))
            lab.lease.halts.in_force = (aimed,)

    assert await lab.work(probe=probe) == "parked"
    assert model.asked == 0
    assert (standing(lab, money), standing(lab, tokens)) == ((0, 0), (0, 0))
    await lift(lab, aimed)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert (standing(lab, money), standing(lab, tokens)) == ((EACH, 0), (110, 0))
    assert sql(lab, "select sum(unpriced)::int from holdfast.ledger") == [(0,)]


async def test_a_request_of_which_nobody_knows_what_it_used_is_settled_at_its_bound(make_lab):
    model = Model(RuntimeError("cut"))
    lab = await priced(make_lab, stepping(model))
    budget = allow(lab, "1usd/day")
    await lab.start()
    await lab.work()
    [asked] = await lab.of(ev.ModelRequested)
    assert standing(lab, budget) == (asked.bound_usd_micros, 0)


async def test_a_provider_that_used_more_than_its_bound_overran(make_lab):
    def answer(_messages: Any, _info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=1_000_000, output_tokens=5)
        return ModelResponse(parts=[TextPart("x")], usage=usage, model_name="priced-one")

    lab = await make_lab(Agent(FunctionModel(answer, model_name="priced-one"), model_settings=SHORT), stream=False)
    lab.prices = BOOK
    budget = allow(lab, "1usd/day")
    await lab.start()
    assert await lab.work() == "finished"
    assert standing(lab, budget) == (1_000_000 * 10 + 5 * 100, 0)
    assert sql(lab, "select count(*) from holdfast.overruns") == [(1,)]
    await lab.start()
    assert await lab.work() == "parked"


async def test_an_answer_is_as_long_as_the_budget_lasts(make_lab):
    most: list[int] = []

    def answer(_messages: Any, info: Any) -> ModelResponse:
        most.append(info.model_settings["max_tokens"])
        usage = RequestUsage(input_tokens=50, output_tokens=most[-1])
        return ModelResponse(parts=[TextPart("x")], usage=usage, model_name="priced-one", finish_reason="length")

    lab = await make_lab(Agent(FunctionModel(answer, model_name="priced-one")), stream=False)
    lab.prices = BOOK
    allow(lab, "0.1usd/day")
    await lab.start()
    assert await lab.work() == "parked"
    assert 256 < most[0] < 1000
    [failed] = await lab.of(ev.ModelFailed)
    assert failed.error == "AnswerCut"
    [parked] = await lab.of(ev.RunParked)
    assert parked.waiting_on == "budget"


@pytest.mark.parametrize("scope", ["model:priced-two", "model:*", "tenant"])
async def test_each_model_of_a_chain_is_settled_by_itself(make_lab, scope):
    first, second = Model(ModelHTTPError(500, "no"), name="priced-one"), Model("done", name="priced-two")
    chain = FallbackModel(
        FunctionModel(first.answer, model_name="priced-one"), FunctionModel(second.answer, model_name="priced-two")
    )
    lab = await priced(make_lab, Agent(chain, model_settings=SHORT))
    budget = allow(lab, "1usd/day", scope)
    await lab.start()
    assert await lab.work() == "finished"
    rows = sql(lab, "select owner, spent, held from holdfast.budget_windows where budget = %s and spent > 0", budget)
    paid = await ledger(lab)
    assert [(row[1], row[2]) for row in rows] == [(paid, 0)]
    assert paid > 0


async def test_a_call_reserves_what_it_says_that_it_costs(make_lab):
    model = Model(*steps(2))
    lab = await priced(make_lab, stepping(model, cost="0.02"))
    budget = allow(lab, "0.031usd/day")
    await lab.start()
    assert await lab.work() == "parked"
    assert len(await lab.of(ev.ToolFinished)) == 1
    assert standing(lab, budget) == (await ledger(lab), 0)


async def test_what_a_call_charges_unannounced_counts_too(make_lab):
    model = Model([("step", {}, "c")], "done")
    agent = model.agent(model_settings=SHORT)

    @agent.tool_plain
    @effect.pure
    async def step() -> str:
        holdfast.charge("0.05")
        return "done"

    lab = await priced(make_lab, agent)
    budget = allow(lab, "1usd/day")
    await lab.start()
    assert await lab.work() == "finished"
    assert standing(lab, budget) == (await ledger(lab), 0)
    assert standing(lab, budget)[0] == 50_000 + 2 * EACH


async def test_a_model_without_a_price_is_not_asked_where_money_is_limited(make_lab):
    model = Model("done", name="secret")
    lab = await priced(make_lab, stepping(model))
    allow(lab, "1000000tokens/day")
    await lab.start()
    assert await lab.work() == "finished"
    allow(lab, "1usd/day")
    await lab.start()
    await lab.work()
    [failed] = await lab.of(ev.RunFailed)
    assert failed.error == "ModelUnpriced"
    assert model.asked == 1


async def test_what_others_hold_is_waited_for(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model))
    budget = allow(lab, "0.02usd/day")
    hold = "insert into holdfast.budget_windows (tenant, budget, owner, since, held) select %s, %s, '', %s, 19000"
    [(since,)] = sql(lab, "select holdfast.window_start('day', 'UTC', now())")
    sql(lab, hold, DEFAULT_TENANT, budget, since)
    await lab.start()
    refused = asyncio.Event()
    working = asyncio.create_task(lab.work(probe=lambda point: point == "append.after_commit" and refused.set()))
    await refused.wait()
    assert model.asked == 0
    sql(lab, "update holdfast.budget_windows set held = 0")
    assert await working == "finished"
    assert model.asked == 1


async def test_what_others_hold_for_long_is_waited_for_as_rows(make_lab, monkeypatch):
    monkeypatch.setattr(affording, "_FIRST_S", 0.0)
    model = Model("done")
    lab = await priced(make_lab, stepping(model))
    budget = allow(lab, "0.02usd/ever")
    hold = "insert into holdfast.budget_windows (tenant, budget, owner, since, held) select %s, %s, '', %s, 19000"
    sql(lab, hold, DEFAULT_TENANT, budget, datetime.fromtimestamp(0, UTC))
    await lab.start()
    assert await lab.work() == "parked"
    assert sql(lab, "select waiting_on, wake_at between now() and now() + interval '1 minute' from holdfast.runs") == [
        ("budget", True)
    ]


class AskTwice(AbstractCapability[Any]):
    """Has the first answer asked for again."""

    def __init__(self) -> None:
        self.asked = 0

    async def after_model_request(self, ctx: Any, *, request_context: Any, response: ModelResponse) -> ModelResponse:
        self.asked += 1
        if self.asked == 1:
            raise RetryModelRequest
        return response


async def test_a_hook_that_asks_twice_pays_twice(make_lab):
    model = Model("done")
    lab = await priced(make_lab, model.agent(model_settings=SHORT, capabilities=[AskTwice()]))
    budget, requests = allow(lab, "1usd/day"), allow(lab, "9requests/day")
    await lab.start()
    assert await lab.work() == "finished"
    assert model.asked == 2
    assert await ledger(lab) == 2 * EACH
    assert standing(lab, budget) == (2 * EACH, 0)
    assert standing(lab, requests) == (2, 0)
    assert sql(lab, "select count(*) from holdfast.overruns") == [(0,)]


@pytest.mark.parametrize(("said", "tokens"), [(9 * 10**18, None), (11.5, 19)])
async def test_what_its_provider_says_may_be_no_count(make_lab, said, tokens):
    def answer(_messages: Any, _info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=said, output_tokens=7)
        return ModelResponse(parts=[TextPart("done")], usage=usage, model_name="priced-one")

    lab = await make_lab(Agent(FunctionModel(answer, model_name="priced-one"), model_settings=SHORT), stream=False)
    lab.prices = BOOK
    money, counted = allow(lab, "1usd/day"), allow(lab, "100000tokens/day")
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [asked] = await lab.of(ev.ModelRequested)
    bound = asked.bound.input_tokens + asked.bound.output_tokens
    assert standing(lab, counted) == (bound if tokens is None else tokens, 0)
    assert standing(lab, money) == (asked.bound_usd_micros if tokens is None else await ledger(lab), 0)
    assert sql(lab, "select estimated from holdfast.reservations") == ([(True,)] if tokens is None else [])


NO_COUNTS: Any = [
    {"cache_read_tokens": 10**19},
    {"output_reasoning_tokens": -(10**25)},
    {"cache_write_tokens": float("nan")},
    {"input_audio_tokens": float("inf")},
]


@pytest.mark.parametrize(
    "kinds", [*NO_COUNTS, {"details": {"thought": 10**25, "guessed": float("nan"), "unsaid": None}}]
)
async def test_a_kind_of_what_its_provider_says_may_be_no_count(make_lab, kinds):
    def answer(_messages: Any, _info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=100, output_tokens=10, **kinds)
        return ModelResponse(parts=[TextPart("done")], usage=usage, model_name="priced-one")

    lab = await priced(make_lab, Agent(FunctionModel(answer, model_name="priced-one"), model_settings=SHORT))
    money, counted = allow(lab, "1usd/day"), allow(lab, "100000tokens/day")
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [asked] = await lab.of(ev.ModelRequested)
    if kinds in NO_COUNTS:
        assert standing(lab, money) == (asked.bound_usd_micros, 0)
        assert standing(lab, counted) == (asked.bound.input_tokens + asked.bound.output_tokens, 0)
    else:
        assert (standing(lab, money), standing(lab, counted)) == ((EACH, 0), (110, 0))


def test_an_answer_that_took_nothing_was_not_measured():
    assert not is_measured(RequestUsage())
    assert not is_measured(RequestUsage(input_tokens=-5, output_tokens=7))
    assert not is_measured(RequestUsage(unmeasured_requests=1, input_tokens=1))
    assert is_measured(RequestUsage(input_tokens=1))


async def test_a_call_that_asks_for_approval_after_it_was_cut_off_is_reserved_anew(make_lab):
    agent = Model([("pay", {}, "c")], "done").agent(model_settings=SHORT)

    @agent.tool
    @holdfast.costs("0.02")
    @effect.pure
    async def pay(ctx: RunContext[Any]) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        return "paid"

    lab = await priced(make_lab, agent)
    budget = allow(lab, "1usd/day")
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    assert standing(lab, budget) == (EACH + 40_000, 0)
    [asked] = (await list_tasks_to_decide(lab.services, WHO)).items
    await decide_approval(lab.services, WHO, asked.id, "approved", digest=asked.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert standing(lab, budget) == (2 * EACH + 60_000, 0)


async def test_a_model_that_is_asked_inside_a_tool_gives_no_tokens_back(make_lab):
    def answer(_messages: Any, _info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=-5000, output_tokens=10)
        return ModelResponse(parts=[TextPart("done")], usage=usage, model_name="priced-one")

    aside = Agent(FunctionModel(answer, model_name="priced-one"))
    outer = Model([("look", {}, "l")], "done").agent(model_settings=SHORT)

    @outer.tool
    @effect.pure
    async def look(ctx: RunContext[Any]) -> str:
        return (await aside.run("go", usage=ctx.usage)).output

    lab = await priced(make_lab, outer)
    tokens, requests = allow(lab, "99999tokens/day"), allow(lab, "99requests/day")
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert standing(lab, requests) == (3, 0)
    assert standing(lab, tokens) == (230, 0)
