"""What a call is charged with beside branches that share its counters: neither their requests nor none of its own."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import CompletedStreamedResponse
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.test_seam_budgets import AskTwice, allow, ledger, sql, standing
from tests.engine.test_seam_costs import Model, priced
from tests.engine.test_seam_money import EACH, SHORT

import holdfast
from holdfast import effect
from holdfast.domain import events as ev
from holdfast.engine.toolcost import INSIDE


async def test_a_call_does_not_pay_for_the_request_of_a_branch_beside_it(make_lab):
    beside = asyncio.Event()

    def says(messages: Any, _info: Any) -> ModelResponse:
        topic = messages[0].parts[0].content
        is_first = len(messages) == 1
        asks = {"go": [ToolCallPart("ask", {"topic": one}, one) for one in "ab"], "a": [ToolCallPart("look", {}, "l")]}
        parts = asks.get(topic) if is_first else None
        usage = RequestUsage(input_tokens=100, output_tokens=10)
        return ModelResponse(parts=parts or [TextPart("done")], usage=usage, model_name="priced-one")

    inner = Agent(FunctionModel(says, model_name="priced-one"), name="inner", model_settings=SHORT)
    outer = Agent(FunctionModel(says, model_name="priced-one"), model_settings=SHORT)
    looking = asyncio.Event()

    @inner.tool_plain
    @holdfast.costs("0.02")
    @effect.pure
    async def look() -> str:
        looking.set()
        await beside.wait()
        return "seen"

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any], topic: str) -> str:
        if topic == "b":
            await looking.wait()
        said = (await inner.run(topic, usage=ctx.usage)).output
        if topic == "b":
            beside.set()
        return said

    lab = await priced(make_lab, outer, agents=[inner])
    money, requests = allow(lab, "1usd/day"), allow(lab, "99requests/day")
    await lab.start(input="go")
    assert await lab.work() == "finished"
    assert standing(lab, requests) == (5, 0)
    assert standing(lab, money) == (5 * EACH + 20_000, 0)
    assert await ledger(lab) == 5 * EACH + 20_000
    assert sql(lab, "select count(*) from holdfast.overruns") == [(0,)]
    looked = [event for event in await lab.of(ev.ToolFinished) if event.tool == "look"]
    assert [(event.usage, event.cost.unpriced) for event in looked] == [(None, [])]


async def test_a_branch_whose_stream_broke_has_asked_no_model_past_the_journal(make_lab):
    async def breaks(_messages: Any, _info: Any) -> Any:
        yield "half"
        raise RuntimeError("cut")

    inner = Agent(FunctionModel(stream_function=breaks, model_name="priced-one"), name="inner", model_settings=SHORT)
    outer = Model([("ask", {}, "a")], "done").agent(model_settings=SHORT)

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        try:
            return (await inner.run("go", usage=ctx.usage, event_stream_handler=watched)).output
        except RuntimeError:
            return "nothing"

    lab = await priced(make_lab, outer, agents=[inner])
    requests = allow(lab, "99requests/day")
    await lab.start()
    assert await lab.work() == "finished"
    assert standing(lab, requests) == (3, 0)
    [asked] = await lab.of(ev.ToolFinished)
    assert asked.cost is None


class Streaming(FunctionModel):
    """Streams whole answers, as one that takes more than its answer may be long."""

    @asynccontextmanager
    async def request_stream(self, messages: Any, model_settings: Any, parameters: Any, run_context: Any = None) -> Any:
        answer = await self.request(messages, model_settings, parameters)
        yield CompletedStreamedResponse(answer, model_request_parameters=parameters, replay_events=True)


async def watched(_ctx: Any, events: Any) -> None:
    async for _event in events:
        pass


async def test_a_branch_that_a_budget_cuts_short_is_no_model_that_its_sibling_asked(make_lab):
    def cut(_messages: Any, _info: Any) -> ModelResponse:
        usage = RequestUsage(input_tokens=100, output_tokens=10)
        return ModelResponse(parts=[TextPart("x")], usage=usage, model_name="priced-one", finish_reason="length")

    long = Agent(Streaming(cut, model_name="priced-one"), name="long", model_settings={"max_tokens": 90_000})
    short = Model("done").agent(name="short", model_settings=SHORT)
    outer = Model([("ask", {"which": which}, which) for which in ("long", "short")], "done").agent(model_settings=SHORT)
    answered, is_over = asyncio.Event(), asyncio.Event()

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any], which: str) -> str:
        if which == "short":
            said = (await short.run("go", usage=ctx.usage)).output
            answered.set()
            await is_over.wait()
            return said
        await answered.wait()
        try:
            return (await long.run("go", usage=ctx.usage, event_stream_handler=watched)).output
        finally:
            is_over.set()

    lab = await priced(make_lab, outer, agents=[long, short])
    allow(lab, "20000tokens/day")
    await lab.start()
    assert await lab.work() == "parked"
    [failed] = await lab.of(ev.ModelFailed)
    assert failed.error == "AnswerCut"
    [asked] = await lab.of(ev.ToolFinished)
    assert (asked.call, asked.cost) == ("short", None)


async def asked_past_the_journal(make_lab: Any, inner: Agent[Any, Any], **run: Any) -> list[Any]:
    """How a call ended that asks a model by itself once the branch beside it is over, and how the branch did."""
    aside = Model("aside").agent(model_settings=SHORT)
    calls = [("aside_from", {}, "aside"), ("ask", {}, "ask")]
    outer = Model(calls, "done").agent(model_settings=SHORT)
    is_over = asyncio.Event()

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        try:
            return (await inner.run("go", usage=ctx.usage, **run)).output
        except RuntimeError:
            return "nothing"

    @outer.tool
    @effect.pure
    async def aside_from(ctx: RunContext[Any]) -> str:
        await is_over.wait()
        return (await aside.run("go", usage=ctx.usage)).output

    lab = await priced(make_lab, outer, agents=[inner])
    await lab.start()

    def passed(point: str) -> None:
        if point == "outcome.after":
            is_over.set()

    assert await lab.work(probe=passed) == "finished"
    return sorted(await lab.of(ev.ToolFinished), key=lambda event: event.call)


async def test_what_is_asked_past_the_journal_is_told_beside_a_branch_that_asks_again(make_lab):
    inner = Model("done").agent(name="inner", model_settings=SHORT, capabilities=[AskTwice()])
    aside, ask = await asked_past_the_journal(make_lab, inner)
    assert (aside.cost.unpriced, ask.cost) == ([INSIDE], None)


class Nothing(CompletedStreamedResponse):
    """A stream that breaks before anything of it has come."""

    async def _get_event_iterator(self) -> Any:
        raise RuntimeError("cut")
        yield


class Breaking(FunctionModel):
    @asynccontextmanager
    async def request_stream(self, messages: Any, model_settings: Any, parameters: Any, run_context: Any = None) -> Any:
        yield Nothing(ModelResponse(parts=[]), model_request_parameters=parameters)


async def test_what_is_asked_past_the_journal_is_told_beside_a_branch_whose_stream_never_began(make_lab):
    model = Breaking(lambda _messages, _info: None, model_name="priced-one")
    inner = Agent(model, name="inner", model_settings=SHORT)
    aside, ask = await asked_past_the_journal(make_lab, inner, event_stream_handler=watched)
    assert (aside.cost.unpriced, ask.cost) == ([INSIDE], None)
    assert ask.usage.requests == 0


async def test_an_answer_that_a_hook_gives_is_of_no_model_past_the_journal(make_lab):
    class Answers(AbstractCapability[Any]):
        async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> ModelResponse:
            return ModelResponse(parts=[TextPart("known")])

    inner = Model("done").agent(name="inner", model_settings=SHORT, capabilities=[Answers()])
    aside, ask = await asked_past_the_journal(make_lab, inner)
    assert (aside.cost.unpriced, ask.cost) == ([INSIDE], None)
