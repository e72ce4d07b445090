"""Both roads write the same journal: what one of them began, the other can go on with."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from pydantic_ai import Agent, CustomEvent, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry, ToolFailed
from pydantic_ai.messages import ModelResponse, TextPart, ToolReturn
from pydantic_ai.models.function import FunctionModel
from tests.engine.agents import agent, scripted, sequential
from tests.engine.lab import Died, die_at

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.engine import shortroad, turns
from holdfast.engine.shortroad import ShortRoad, may_go_short

_OF_THEIR_OWN = {"latency_ms", "approval", "worker", "timestamp", "run_id", "conversation_id", "enqueue_id"}


@pytest.fixture
def taken(monkeypatch) -> list[Any]:
    """The short roads that were taken."""
    found: list[Any] = []

    class Noted(ShortRoad):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            found.append(self)

    monkeypatch.setattr(turns, "ShortRoad", Noted)
    return found


def plain(value: Any, content: dict[str, Any], run: str) -> Any:
    """A fact without what differs between any two runs, with its content in place."""
    if isinstance(value, dict):
        # An emitted event is heard before or after the framework stamps it; it stamps it again at replay.
        own = _OF_THEIR_OWN | ({"tool_call_id", "tool_name"} if "event_kind" in value else set())
        return {key: plain(item, content, run) for key, item in value.items() if key not in own}
    if isinstance(value, list):
        return [plain(item, content, run) for item in value]
    if isinstance(value, str):
        if value in content:
            return plain(content[value], content, run)
        return value.replace(run, "RUN")
    return value


async def written(lab: Any) -> list[Any]:
    events = await lab.events()
    refs = {ref for event in events for ref in refs_in(asdict(event))}
    content = {ref: await lab.content(ref) for ref in refs}
    facts = [(event.type, asdict(event)) for event in events]
    return [(kind, plain(fact, content, str(lab.run))) for kind, fact in facts if kind != "run_accepted"]


def refs_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {ref for key, item in value.items() if key != "digest" for ref in refs_in(item)}
    if isinstance(value, list):
        return {ref for item in value for ref in refs_in(item)}
    return {value} if isinstance(value, str) and len(value) == 64 and "/" not in value else set()


@dataclass(kw_only=True)
class Told(CustomEvent):
    what: str = "told"


def everything() -> Agent[Any, Any]:
    """An agent that does, in turn, all that can be carried on the short road."""
    made = agent(
        [("look", {"i": 1}, "a"), ("plain", {"i": 2}, "b")],
        [("again", {}, "c"), ("gives_up", {}, "d"), ("absent", {}, "e")],
        [("again", {}, "f"), ("look", {"i": "no number"}, "g")],
        [("rich", {}, "h"), ("says", {}, "i"), ("look", {"i": 7}, "j")],
        "done",
        instructions="Be brief.",
    )

    @made.tool_plain
    @effect.idempotent
    async def look(i: int) -> str:
        return f"found {i}"

    @made.tool_plain
    @effect.idempotent
    def plain(i: int) -> list[int]:
        return [i]

    @made.tool
    @effect.idempotent
    async def again(ctx: RunContext[Any]) -> str:
        if not ctx.retry:
            raise ModelRetry("once more")
        return "now"

    @made.tool_plain
    @effect.idempotent
    async def gives_up() -> str:
        raise ToolFailed("cannot")

    @made.tool_plain
    @effect.idempotent
    async def rich() -> ToolReturn:
        return ToolReturn(return_value={"n": 1}, content="see", metadata={"m": 2})

    @made.tool
    @effect.idempotent
    async def says(ctx: RunContext[Any]) -> str:
        await ctx.emit(Told())
        ctx.enqueue("and by the way")
        return "said"

    return made


@pytest.mark.parametrize("stream", [True, False])
async def test_both_roads_write_the_same(make_lab, taken, monkeypatch, stream):
    journals = []
    for short in (True, False):
        monkeypatch.setattr(turns, "may_go_short", may_go_short if short else lambda _task: False)
        lab = await make_lab(everything(), stream=stream)
        await lab.start()
        await lab.work()
        await lab.expect("succeeded")
        journals.append(await written(lab))
    assert len(taken) == 1
    assert journals[0] == journals[1]


@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_short_road_began_the_long_one_ends(make_lab, taken, stream):
    """Killed at any point: the outcomes are the same, and nothing is begun that was done."""

    async def outcomes(lab: Any) -> list[str]:
        found = [fact for kind, fact in await written(lab) if kind in {"model_responded", "tool_finished"}]
        return sorted(repr({**fact, "attempt": 1}) for fact in found)

    whole = await make_lab(everything(), stream=stream)
    await whole.start()
    await whole.work()
    for nth in range(1, whole.points.count("intent.after"), 3):
        lab = await make_lab(everything(), stream=stream)
        await lab.start()
        assert isinstance(await lab.work(probe=die_at("intent.after", nth)), Died)
        begun = len(taken)
        await lab.work()
        assert len(taken) == begun, "work was recorded: it takes capabilities to replay it"
        await lab.expect("succeeded")
        assert await outcomes(lab) == await outcomes(whole)


async def test_an_error_fails_the_run_on_both_roads(make_lab, taken, monkeypatch):
    journals = []
    for short in (True, False):
        monkeypatch.setattr(turns, "may_go_short", may_go_short if short else lambda _task: False)
        made = agent(*sequential(2))

        @made.tool_plain
        async def step(i: int) -> str:
            raise KeyError(i)

        lab = await make_lab(made)
        await lab.start()
        await lab.work()
        await lab.expect("failed")
        journals.append([(kind, {**fact, "place": ""}) for kind, fact in await written(lab)])
    assert len(taken) == 1
    assert journals[0] == journals[1]


async def test_a_question_reaches_people_at_once_and_is_asked_once(make_lab, taken):
    """A tool that asks for approval while its sibling works: the sibling is recorded, then the run parks."""
    made = agent([("ask", {"n": 1}, "a"), ("work", {}, "w")], "done")
    entered, asked = asyncio.Event(), asyncio.Event()

    @made.tool
    @effect.once
    async def ask(ctx: RunContext[Any], n: int) -> str:
        if not ctx.tool_call_approved:
            await entered.wait()
            raise ApprovalRequired(metadata={"why": "much"})
        return "paid"

    @made.tool_plain
    @effect.once
    async def work() -> str:
        entered.set()
        await asyncio.wait_for(asked.wait(), 30)
        return "worked"

    lab = await make_lab(made)
    await lab.start()
    async with lab.worker() as running:
        carrying = asyncio.create_task(running.run())
        while not await lab.of(ev.ApprovalAsked):
            await asyncio.sleep(0.01)
        asked.set()
        await carrying
    assert lab.state == "parked"
    assert len(taken) == 1
    [question] = await lab.of(ev.ApprovalAsked)
    assert await lab.content(question.args) == {"n": 1}
    assert [finished.outcome for finished in await lab.of(ev.ToolFinished)] == ["deferred", "value"]


async def test_a_deferred_call_goes_to_the_capabilities(make_lab, taken):
    made = agent([("later", {}, "l")], "done")

    @made.tool_plain
    async def later() -> str:
        raise CallDeferred

    lab = await make_lab(made)
    await lab.start()
    await lab.work()
    assert len(taken) == 1
    assert len(await lab.of(ev.ToolStarted)) == 1


async def test_a_response_to_be_continued_goes_to_the_capabilities(make_lab, taken):
    asked: list[int] = []

    def answer(messages: Any, info: Any) -> ModelResponse:
        asked.append(len(messages))
        return ModelResponse(parts=[TextPart("done")], state="suspended" if len(asked) == 1 else "complete")

    made = Agent(FunctionModel(answer))

    @made.tool_plain
    async def step(i: int) -> str:
        return "stepped"

    for _ in range(2):
        lab = await make_lab(made, stream=False)
        await lab.start()
        await lab.work()
        await lab.expect("succeeded")
    assert len(taken) == 1, "once found out, it is not tried again"


async def test_an_agent_that_runs_itself_in_a_tool_does_so_within_that_step(make_lab, taken):
    made = agent([("inner", {}, "i")], "done", name="self")

    @made.tool_plain
    @effect.idempotent
    async def inner() -> str:
        with made.override(model=scripted([("step", {}, "s")], "inside")):
            return (await made.run("deeper")).output

    @made.tool_plain
    async def step() -> str:
        return "stepped"

    lab = await make_lab(made, stream=False)
    await lab.start()
    await lab.work()
    await lab.expect("succeeded")
    assert len(taken) == 1
    assert [started.tool for started in await lab.of(ev.ToolStarted)] == ["inner"]
    assert len(await lab.of(ev.ModelRequested)) == 2


async def test_another_model_from_outside_is_journaled(make_lab):
    made = agent("own")

    @made.tool_plain
    async def step(i: int) -> str:
        return "stepped"

    lab = await make_lab(made)
    await lab.start()
    with made.override(model=scripted("other")):
        await lab.work()
    await lab.expect("succeeded")
    assert (await lab.output()).strip() == "other"
    assert len(await lab.of(ev.ModelResponded)) == 1


class Own(AbstractCapability[object]):
    pass


def tool(i: int) -> str:
    return str(i)


def test_only_agents_with_nothing_more_than_functions_go_short(make_lab):
    """A list of what does not, since each of these has something that only a hook is told of."""
    from pydantic_ai import Tool, ToolOutput
    from pydantic_ai.toolsets import FunctionToolset

    from holdfast.app import App

    def goes(made: Any, **options: Any) -> bool:
        return may_go_short(App("a").task("t", agent=made, **options))

    model = scripted("done")
    assert goes(Agent(model, tools=[tool]))
    assert not goes(Agent(model))
    assert not goes(Agent(model, tools=[tool], capabilities=[Own()]))
    assert not goes(Agent(model, tools=[tool], output_type=ToolOutput(int)))
    assert not goes(Agent(model, tools=[Tool(tool, requires_approval=True)]))
    assert not goes(Agent(model, tools=[Tool(tool, timeout=3)]))
    assert not goes(Agent(model, tools=[Tool(tool, prepare=lambda _ctx, definition: definition)]))
    assert not goes(Agent(model, tools=[Tool(tool, args_validator=lambda _ctx, i: None)]))
    assert not goes(Agent(model, tools=[tool], toolsets=[FunctionToolset()]))
    assert not goes(Agent(model, tools=[tool]), agents=[Agent(model, name="inner")])
    checked = Agent(model, tools=[tool])
    checked.output_validator(lambda output: output)
    assert not goes(checked)
    assert shortroad.infrastructure()
