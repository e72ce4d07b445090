"""A limit on money: what a request might cost is known before it is sent, and what it did cost is what counts."""

from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_costs import BOOK, Model, priced
from tests.engine.test_seam_limits import raise_to

import holdfast
from holdfast import EscalationPath, Limits, effect
from holdfast.domain import events as ev
from holdfast.domain.errors import InvalidInput
from holdfast.service.show_run import show_run

EACH = 2000
"""Micro-dollars that a request of `Model` costs."""
SHORT: Any = {"max_tokens": 20}


def doing() -> Any:
    async def step(i: int) -> str:
        return f"did {i}"

    return step


def stepping(model: Model, *, cost: str | None = None) -> Agent[Any, Any]:
    made = model.agent(model_settings=SHORT)

    made.tool_plain(effect.pure(doing() if cost is None else holdfast.costs(cost)(doing())))
    return made


def steps(count: int) -> list[Any]:
    return [*([("step", {"i": i}, f"c{i}")] for i in range(count)), "done"]


async def spent(lab: Any) -> int:
    return sum(event.cost.usd_micros for event in await lab.of(ev.ModelResponded))


async def test_it_stops_before_the_request_that_might_cost_too_much_and_goes_on_there(make_lab):
    model = Model(*steps(6))
    lab = await priced(make_lab, stepping(model), limits=Limits(cost_usd="0.0150"))
    await lab.start()
    assert await lab.work() == "parked"
    before = model.asked
    assert 1 <= before < 7
    assert await spent(lab) == before * EACH <= 15_000
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.stood) == ("cost_usd", before * EACH)
    assert escalated.stood + escalated.most > 0
    await raise_to(lab, cost_usd="1")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert model.asked == 7


async def test_a_request_that_nobody_heard_the_answer_of_counts_with_all_it_might_have_cost(make_lab):
    model = Model("done")
    lab = await priced(make_lab, stepping(model), limits=Limits(cost_usd="0.0080"))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.answered")), Died)
    [asked] = await lab.of(ev.ModelRequested)
    assert 4000 < asked.bound_usd_micros <= 8000
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert escalated.stood == asked.bound_usd_micros
    assert model.asked == 1


async def test_an_answer_is_as_long_as_the_money_lasts(make_lab):
    most: list[int] = []

    def answer(_messages: Any, info: Any) -> ModelResponse:
        most.append(info.model_settings["max_tokens"])
        usage = RequestUsage(input_tokens=50, output_tokens=most[-1])
        return ModelResponse(parts=[TextPart("x")], usage=usage, model_name="priced-one", finish_reason="length")

    lab = await make_lab(
        Agent(FunctionModel(answer, model_name="priced-one")), stream=False, limits=Limits(cost_usd="0.1")
    )
    lab.prices = BOOK
    await lab.start()
    assert await lab.work() == "parked"
    [asked] = await lab.of(ev.ModelRequested)
    assert 256 < most[0] < 1000
    assert asked.bound_usd_micros <= 100_000 < asked.bound_usd_micros + 200, "to a token's price"
    [failed] = await lab.of(ev.ModelFailed)
    assert failed.error == "AnswerCut"
    assert failed.cost.usd_micros == 50 * 10 + most[0] * 100


async def test_what_tools_say_they_cost_counts_before_they_are_called(make_lab):
    model = Model(*steps(3))
    lab = await priced(make_lab, stepping(model, cost="0.02"), limits=Limits(cost_usd="0.05"))
    await lab.start()
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert escalated.limit == "cost_usd"
    assert len(await lab.of(ev.ToolFinished)) == 2
    total = await spent(lab) + sum(event.cost.usd_micros for event in await lab.of(ev.ToolFinished))
    assert total == escalated.stood <= 50_000


async def test_a_model_without_a_price_is_not_asked(make_lab):
    model = Model("done", name="secret")
    lab = await priced(make_lab, stepping(model), limits=Limits(cost_usd=1), escalation=EscalationPath())
    await lab.start()
    assert await lab.work() == "parked"
    assert model.asked == 0
    [escalated] = await lab.of(ev.Escalated)
    assert escalated.error == "ModelUnpriced"
    assert "what 'secret' costs is not known" in await lab.content(escalated.message)


@pytest.mark.parametrize("cost", ["0.0100", "1"])
async def test_every_model_of_a_chain_may_be_paid(make_lab, cost):
    first, second = Model(RuntimeError("no"), name="priced-one"), Model("done", name="priced-two")
    chain = FallbackModel(
        FunctionModel(first.answer, model_name="priced-one"),
        FunctionModel(second.answer, model_name="priced-two"),
        fallback_on=RuntimeError,
    )
    made = Agent(chain, model_settings=SHORT)
    lab = await priced(make_lab, made, limits=Limits(cost_usd=cost))
    await lab.start()
    assert await lab.work() == ("finished" if cost == "1" else "parked")
    assert (first.asked, second.asked) == ((1, 1) if cost == "1" else (0, 0))


def _turned_down(response: ModelResponse) -> bool:
    return response.model_name == "priced-one"


async def test_an_answer_that_was_turned_down_was_paid_for(make_lab):
    first, second = Model("bad"), Model(*steps(1), name="priced-two")
    chain = FallbackModel(
        FunctionModel(first.answer, model_name="priced-one"),
        FunctionModel(second.answer, model_name="priced-two"),
        fallback_on=[_turned_down],
    )
    made = Agent(chain, model_settings=SHORT)
    made.tool_plain(effect.pure(doing()))
    lab = await priced(make_lab, made, limits=Limits(cost_usd="0.02", tool_calls=0))
    await lab.start()
    assert await lab.work() == "parked"
    story = await show_run(lab.services, WHO, lab.run)
    assert {one.name: one.stood for one in story.limits}["cost_usd"] == 2 * EACH
    [asked] = await lab.of(ev.ModelRequested)
    assert asked.bound.output_tokens == 2 * 20, "each of them may answer"


async def test_a_limit_says_that_it_was_money_that_cut_an_answer(make_lab):
    def answer(_messages: Any, info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=50, output_tokens=info.model_settings["max_tokens"] // 2)
        return ModelResponse(parts=[TextPart("x")], usage=usage, model_name="priced-one", finish_reason="length")

    made = Agent(FunctionModel(answer, model_name="priced-one"))
    lab = await make_lab(made, stream=False, limits=Limits(cost_usd="0.1", output_tokens=2000))
    lab.prices = BOOK
    await lab.start()
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert escalated.limit == "cost_usd"
    with pytest.raises(InvalidInput, match="is not enough"):
        await raise_to(lab, cost_usd="0.1")


async def test_ones_own_bound_on_answers_is_not_widened(make_lab):
    most: list[int] = []

    def answer(_messages: Any, info: Any) -> ModelResponse:
        most.append(info.model_settings["max_tokens"])
        return ModelResponse(parts=[TextPart("x")], usage=RequestUsage(input_tokens=5, output_tokens=1), model_name="m")

    own = FunctionModel(answer, model_name="priced-one", settings={"max_tokens": 30})
    lab = await priced(make_lab, Agent(own), limits=Limits(tokens=100_000))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert most == [30]
