"""What a run cost is in its journal and in the ledger, from the same commit, and the two are always the same."""

from decimal import Decimal
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.lab import WHO, Lab

import holdfast
from holdfast import effect
from holdfast.domain import events as ev
from holdfast.guards.prices import PriceBook, PriceTable
from holdfast.service.check_costs import compare
from holdfast.service.list_costs import list_costs
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
