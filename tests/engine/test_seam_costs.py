"""What a run cost is in its journal and in the ledger, from the same commit, and the two are always the same."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import ModelHTTPError, ModelRetry
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.lab import WHO, Died, Lab, die_at

import holdfast
from holdfast import Limits, effect
from holdfast.domain import events as ev
from holdfast.guards.prices import PriceBook, PriceTable
from holdfast.service.cancel_run import cancel_run
from holdfast.service.check_costs import compare
from holdfast.service.decide_approval import decide_approval, resolve_effect
from holdfast.service.decide_escalation import decide_escalation
from holdfast.service.list_costs import list_costs
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.show_run import show_run

TABLE = {"model": "priced*", "input": "10", "output": "100", "cache_read": "1"}
BOOK = PriceBook([PriceTable.model_validate(TABLE)])


class Model:
    """Answers with the next of its turns; each request uses 100 tokens in and 10 out: 2,000 micro-dollars."""

    def __init__(self, *turns: Any, name: str = "priced-one") -> None:
        self.turns, self.asked, self.name = list(turns), 0, name

    def answer(self, messages: Any, info: Any) -> ModelResponse:
        done = sum(isinstance(message, ModelResponse) for message in messages)
        self.asked += 1
        turn = self.turns[min(done, len(self.turns) - 1)]
        if isinstance(turn, Exception):
            raise turn
        parts = [TextPart(turn)] if isinstance(turn, str) else [ToolCallPart(*call) for call in turn]
        return ModelResponse(parts=parts, usage=RequestUsage(input_tokens=100, output_tokens=10), model_name=self.name)

    def agent(self, **more: Any) -> Agent[Any, Any]:
        return Agent(FunctionModel(self.answer, model_name=self.name), **more)


async def priced(make_lab: Any, agent: Agent[Any, Any], **more: Any) -> Lab:
    lab = await make_lab(agent, stream=False, **more)
    lab.prices = BOOK
    return lab


async def same(lab: Lab) -> None:
    """The ledger is what the journal says."""
    assert await compare(lab.services, WHO, lab.run) == []


def _refused(response: ModelResponse) -> bool:
    return any(isinstance(part, TextPart) and part.content == "no" for part in response.parts)


async def total(lab: Lab, *by: str) -> Any:
    return await list_costs(lab.services, WHO, by=by)


async def test_a_response_keeps_its_price_and_the_ledger_has_it(make_lab):
    model = Model([("look", {}, "l1")], "done")
    agent = model.agent()

    @agent.tool_plain
    @holdfast.costs("0.02")
    @effect.pure
    def look() -> str:
        holdfast.charge("0.0035")
        return "seen"

    lab = await priced(make_lab, agent)
    await lab.start(labels={"feature": "triage"})
    assert await lab.work() == "finished"
    for responded in await lab.of(ev.ModelResponded):
        assert responded.cost.usd_micros == 2000
        assert responded.cost.source == "prices[0]: priced*"
        assert responded.cost.unpriced == []
    [finished] = await lab.of(ev.ToolFinished)
    assert finished.cost.usd_micros == 23_500
    view = await total(lab, "feature", "model", "tool")
    found = {(row.key["feature"], row.key["model"], row.key["tool"]): row.cost_usd for row in view.items}
    assert found == {
        ("triage", "priced-one", None): Decimal("0.004"),
        ("triage", None, "look"): Decimal("0.0235"),
        ("triage", None, None): Decimal("0.00"),
    }
    assert (view.total.cost_usd, view.total.at_least) == (Decimal("0.0275"), False)
    assert (view.total.model_requests, view.total.tool_calls, view.total.input_tokens) == (2, 1, 200)
    story = await show_run(lab.services, WHO, lab.run)
    assert story.run.cost is not None
    assert story.run.cost.cost_usd == Decimal("0.0275")
    assert [step.cost_usd for step in story.steps if step.kind in {"model", "tool"}] == [
        Decimal("0.002"),
        Decimal("0.0235"),
        Decimal("0.002"),
    ]
    await same(lab)


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("model.sending", 1),  # announced, perhaps sent: nothing came back
        ("model.answered", 2),  # it answered, and nobody wrote it down
        ("outcome.before", 1),
        ("append.before_send", 3),
        ("append.after_commit", 3),
    ],
)
async def test_what_was_asked_and_lost_is_told_and_nothing_is_counted_twice(make_lab, point, nth):
    model = Model([("look", {}, "l1")], "done")
    agent = model.agent()

    @agent.tool_plain
    @holdfast.costs("0.02")
    @effect.pure
    def look() -> str:
        return "seen"

    lab = await priced(make_lab, agent)
    await lab.start()
    assert await lab.work(probe=die_at(point, nth)) != "finished"
    await same(lab)
    assert await lab.work() == "finished"
    await same(lab)
    view = await total(lab)
    assert model.asked <= view.total.model_requests, "as many as the provider saw"
    assert view.total.model_usd == Decimal("0.004"), "two answers, once each"
    assert view.total.tool_usd == Decimal("0.02"), "one call that ended"
    assert view.total.at_least == (view.total.unpriced > 0)
    requested = await lab.of(ev.ModelRequested)
    assert view.total.model_requests == len(requested)
    assert sum(one.unanswered for one in requested) == len(requested) - 2


async def test_a_call_that_people_allow_costs_when_it_is_made(make_lab):
    """Parked and taken up again: what was paid for is counted once, and what only was asked about not at all."""
    model = Model([("pay", {}, "a1")], "done")
    agent = model.agent()

    @agent.tool_plain(requires_approval=True)
    @holdfast.costs("1.5")
    @effect.idempotent
    def pay() -> str:
        return "done"

    lab = await priced(make_lab, agent)
    await lab.start()
    assert await lab.work() == "parked"
    assert (await total(lab)).total.cost_usd == Decimal("0.002")
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    assert (await total(lab)).total.cost_usd == Decimal("1.504")
    await same(lab)


async def test_a_call_that_a_hook_refuses_was_never_made_and_costs_nothing(make_lab):
    async def no(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        raise ModelRetry("not now")

    model = Model([("pay", {}, "a1")], "done")
    agent = model.agent(capabilities=[Hooks(before_tool_execute=no)])

    @agent.tool_plain
    @holdfast.costs("1.5")
    @effect.pure
    def pay() -> str:
        return "done"

    lab = await priced(make_lab, agent)
    await lab.start()
    assert await lab.work() == "finished"
    [finished] = await lab.of(ev.ToolFinished)
    assert (finished.outcome, finished.cost) == ("retry", None)
    await same(lab)


@pytest.mark.parametrize(("resolution", "result", "costs"), [("done", "paid", "1.50"), ("not_done", None, "1.75")])
async def test_what_a_person_says_happened_costs_what_the_tool_declares(make_lab, resolution, result, costs):
    model = Model([("pay", {}, "a1")], "done")
    agent = model.agent()

    @agent.tool_plain
    @holdfast.costs("1.5")
    @effect.once
    def pay() -> str:
        holdfast.charge("0.25")
        return "done"

    lab = await priced(make_lab, agent)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await resolve_effect(lab.services, WHO, task.id, resolution, digest=task.digest, result=result)
    assert await lab.work() == "finished"
    view = await total(lab)
    assert view.total.tool_usd == Decimal(costs)
    await same(lab)


@pytest.mark.parametrize("point", ["append.before_send", "append.after_commit"])
async def test_what_a_worker_tells_late_tells_its_cost(make_lab, point):
    """The worker that lost the run knows what the call cost, and says so with how it ended."""
    model = Model([("pay", {}, "a1")], "done")
    agent = model.agent()

    @agent.tool_plain
    @effect.once
    def pay() -> str:
        holdfast.charge("0.25")
        return "done"

    lab = await priced(make_lab, agent)
    await lab.start()
    assert await lab.work(probe=die_at(point, 3)) == "lost"
    while await lab.work() != "finished":
        pass
    await lab.expect("succeeded")
    assert (await total(lab)).total.tool_usd == Decimal("0.25")
    await same(lab)


async def test_models_that_were_tried_in_vain_are_paid_for(make_lab):
    down = Model(ModelHTTPError(503, "priced-down"), name="priced-down")
    cut = Model(ConnectionError("reset"), name="priced-cut")
    refusing, serving = Model("no", name="priced-refusing"), Model("yes", name="priced-serving")
    models = [FunctionModel(one.answer, model_name=one.name) for one in (down, cut, refusing, serving)]
    agent = Agent(FallbackModel(*models, fallback_on=[ModelHTTPError, ConnectionError, _refused]))
    lab = await priced(make_lab, agent)
    await lab.start()
    assert await lab.work() == "finished"
    [responded] = await lab.of(ev.ModelResponded)
    costs = {one.model: one.cost for one in responded.failed}
    assert costs["priced-down"] is None, "refused: not on the bill"
    assert costs["priced-cut"].usd_micros is None, "nobody knows"
    assert costs["priced-refusing"].usd_micros == 2000
    found = {row.key["model"]: (row.cost_usd, row.unpriced) for row in (await total(lab, "model")).items}
    assert found == {
        "priced-cut": (Decimal("0.00"), 1),
        "priced-refusing": (Decimal("0.002"), 0),
        "priced-serving": (Decimal("0.002"), 0),
        None: (Decimal("0.00"), 0),
    }
    await same(lab)


async def test_what_has_no_price_is_unknown_and_never_nothing(make_lab):
    lab = await priced(make_lab, Model("done", name="private").agent())
    await lab.start()
    assert await lab.work() == "finished"
    [responded] = await lab.of(ev.ModelResponded)
    assert (responded.cost.usd_micros, responded.cost.unpriced) == (None, ["model"])
    story = await show_run(lab.services, WHO, lab.run)
    assert story.run.cost is not None
    assert (story.run.cost.at_least, story.run.cost.unpriced) == (True, 1)
    assert [(step.cost_usd, step.unpriced) for step in story.steps if step.kind == "model"] == [(None, ["model"])]
    await same(lab)


@pytest.mark.parametrize("kind", ["delegate", "plain"])
async def test_sub_agents_are_counted_once(make_lab, kind):
    inner = Model("four", name="priced-inner")
    inner_agent = inner.agent(name="inner")
    outer = Model([("sum", {}, "s1")], "done", name="priced-outer")
    agent = outer.agent(deps_type=None)

    @agent.tool
    @holdfast.costs("0.5")
    @(effect.delegate if kind == "delegate" else effect.pure)
    async def sum(ctx: RunContext[None]) -> str:  # noqa: A001
        return (await inner_agent.run("2+2", usage=ctx.usage)).output

    lab = await priced(make_lab, agent, agents=[inner_agent] if kind == "delegate" else [])
    await lab.start()
    assert await lab.work() == "finished"
    await same(lab)
    view = await total(lab, "model", "tool")
    found = {row.key["model"] or row.key["tool"]: row for row in view.items}
    if kind == "delegate":
        assert found["priced-inner"].cost_usd == Decimal("0.002")
        assert (found["sum"].cost_usd, found["sum"].at_least) == (Decimal("0.50"), False)
        assert view.total.input_tokens == 300
    else:
        assert "priced-inner" not in found, "nobody journaled it"
        assert (found["sum"].cost_usd, found["sum"].at_least) == (Decimal("0.50"), True)
        assert (found["sum"].input_tokens, view.total.input_tokens) == (100, 300)


async def test_calls_side_by_side_and_calls_that_are_tried_again_count_each(make_lab):
    model = Model([("flip", {"n": n}, f"f{n}") for n in range(5)], [("flip", {"n": 9}, "again")], "done")
    agent = model.agent(retries=3)

    @agent.tool_plain
    @holdfast.costs("0.01")
    @effect.pure
    async def flip(n: int) -> str:
        holdfast.charge(f"0.00{n}")
        if n == 3:
            raise ModelRetry("not that one")
        return "heads"

    lab = await priced(make_lab, agent)
    await lab.start()
    assert await lab.work() == "finished"
    view = await total(lab, "tool")
    [row] = [row for row in view.items if row.key["tool"] == "flip"]
    assert (row.tool_calls, row.cost_usd) == (6, Decimal("0.079"))
    await same(lab)


async def test_an_answer_that_a_hook_makes_nothing_of_was_paid_for(make_lab):
    async def no(ctx: Any, *, request_context: Any, response: Any) -> Any:
        raise RuntimeError("I do not like it")

    lab = await priced(make_lab, Model("done").agent(capabilities=[Hooks(after_model_request=no)]))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("failed")
    [failed] = await lab.of(ev.ModelFailed)
    assert (failed.model, failed.cost.usd_micros) == ("priced-one", 2000)
    assert (await total(lab)).total.cost_usd == Decimal("0.002")
    await same(lab)


async def test_prices_that_change_change_nothing_that_was_written(make_lab):
    lab = await priced(make_lab, Model("done").agent())
    await lab.start()
    assert await lab.work() == "finished"
    lab.prices = PriceBook([PriceTable.model_validate(TABLE | {"input": "9000"})])
    assert (await total(lab)).total.cost_usd == Decimal("0.002")
    await same(lab)


async def test_a_stream_that_is_cut_may_be_on_the_bill(make_lab):
    """Part of an answer came, and then the connection went: what it cost nobody says."""
    turns = [0]

    async def stream(messages: Any, info: Any) -> AsyncIterator[str]:
        turns[0] += 1
        yield "half an "
        raise ConnectionError("reset by peer")

    lab = await make_lab(Agent(FunctionModel(stream_function=stream, model_name="priced-stream")))
    lab.prices = BOOK
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("failed")
    [failed] = await lab.of(ev.ModelFailed)
    assert failed.model == "priced-stream"
    assert failed.cost is not None
    assert "an answer that did not come to its end" in failed.cost.unpriced
    view = await total(lab)
    assert (view.total.model_requests, view.total.at_least) == (1, True)
    await same(lab)


async def test_a_run_that_is_cancelled_over_a_request_says_that_it_may_be_on_the_bill(make_lab):
    lab = await priced(make_lab, Model("done").agent())
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.sending")), Died)
    lab.let_go()
    await cancel_run(lab.services, WHO, lab.run)
    assert await lab.work() == "finished"
    await lab.expect("cancelled")
    [cancelled] = await lab.of(ev.RunCancelled)
    assert cancelled.unanswered == ["priced-one"]
    view = await total(lab, "model")
    assert {row.key["model"]: (row.model_requests, row.unpriced) for row in view.items} == {
        "priced-one": (1, 1),
        None: (0, 0),
    }
    await same(lab)


@pytest.mark.parametrize("said", ["1e30", "-5", "NaN"])
@pytest.mark.parametrize("name", ["priced-one", "secret"])
@pytest.mark.parametrize("where", ["usage", "details"])
async def test_an_amount_that_no_request_can_have_cost_was_not_said(make_lab, where, name, said):
    def answer(_messages: Any, _info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=100, output_tokens=10)
        details = {"cost": said} if where == "details" else None
        if where == "usage":
            usage.cost = Decimal(said)
        return ModelResponse(parts=[TextPart("done")], usage=usage, model_name=name, provider_details=details)

    lab = await priced(make_lab, Agent(FunctionModel(answer, model_name=name)))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [answered] = await lab.of(ev.ModelResponded)
    assert answered.cost.usd_micros == (2000 if name == "priced-one" else None)
    assert answered.cost.reported_usd_micros is None
    await same(lab)


@pytest.mark.parametrize(
    ("way", "more", "state"), [("finish", {"output": "mine"}, "succeeded"), ("fail_run", {}, "failed")]
)
async def test_a_run_that_people_end_over_a_request_says_that_it_may_be_on_the_bill(make_lab, way, more, state):
    agent = Model("done").agent(model_settings={"max_tokens": 20})
    lab = await priced(make_lab, agent, limits=Limits(cost_usd="0.0080"))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.answered")), Died)
    assert await lab.work() == "parked", "twice is more than it may cost"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await decide_escalation(lab.services, WHO, task.id, way, digest=task.digest, **more)
    assert await lab.work() == "finished"
    await lab.expect(state)
    view = await total(lab)
    assert (view.total.model_requests, view.total.unpriced, view.total.at_least) == (1, 1, True)
    await same(lab)
