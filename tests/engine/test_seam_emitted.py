"""Events that a tool emits are part of its outcome: they come again when its call is replayed, once and in order."""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai import Agent, CapabilityEvent, CustomEvent, RunContext
from pydantic_ai.capabilities import AbstractCapability, Hooks, ProcessEventStream
from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.output import TextOutput
from tests.engine.agents import agent, scripted
from tests.engine.lab import Died, die_at

from holdfast import effect
from holdfast.domain import events as ev

BEFORE_SECOND_REQUEST = ("intent.before", 3)
WHEN = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass(kw_only=True)
class StagedEvent(CustomEvent):
    done: int
    at: datetime = WHEN


@dataclass(kw_only=True)
class UnstorableEvent(CustomEvent):
    thing: Any


@dataclass(kw_only=True)
class CheckedEvent(CapabilityEvent, namespace="emitted_test"):
    where: str


@dataclass(kw_only=True)
class DecidingEvent(CapabilityEvent, namespace="emitted_test", dispatch="immediate"):
    cancelled: bool = False


@dataclass(kw_only=True)
class AnsweringEvent(CapabilityEvent, namespace="emitted_test"):
    pass


Heard = list[tuple[str, Any, str | None]]


def staged(heard: Heard) -> Any:
    """What each worker's listeners were given."""
    return [what for what in heard if what[0] == "staged"]


def listening(made: Agent[Any, Any], heard: Heard) -> Agent[Any, Any]:
    @made.on_event(StagedEvent)
    async def on_staged(ctx: RunContext[Any], event: StagedEvent) -> None:
        assert event.at == WHEN
        heard.append(("staged", event.done, event.tool_call_id))

    return made


@pytest.mark.parametrize("outcome", ["value", "retry", "failed"])
@pytest.mark.parametrize("stream", [True, False])
async def test_emitted_events_come_again_on_replay(make_lab, outcome, stream):
    """ENGINE, The seam: an outcome is value, deferral, enqueued messages, emitted events, usage delta, error."""
    heard: Heard = []
    ran: list[int] = []
    made = listening(agent([("look", {}, "l1")], "done"), heard)

    @made.tool
    async def look(ctx: RunContext[Any]) -> str:
        ran.append(1)
        for done in (1, 2, 3):
            await ctx.emit(StagedEvent(done=done))
        if outcome == "retry":
            raise ModelRetry("again")
        if outcome == "failed":
            raise ToolFailed("no")
        return "seen"

    lab = await make_lab(made, stream=stream)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    first, heard[:] = staged(heard), []
    assert first == [("staged", done, "l1") for done in (1, 2, 3)]
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert heard == first
    assert len(ran) == 1
    [finished] = await lab.of(ev.ToolFinished)
    assert finished.outcome == outcome
    assert [event["value"]["done"] for event in await lab.content(finished.emitted)] == [1, 2, 3]


async def test_a_stream_handler_sees_them_too(make_lab):
    heard: Heard = []

    async def handler(ctx: RunContext[Any], stream: AsyncIterable[Any]) -> None:
        async for event in stream:
            if isinstance(event, StagedEvent):
                heard.append(("staged", event.done, event.tool_call_id))

    made = agent([("look", {}, "l1")], "done", capabilities=[ProcessEventStream(handler)])

    @made.tool
    async def look(ctx: RunContext[Any]) -> str:
        await ctx.emit(StagedEvent(done=1))
        await ctx.emit(StagedEvent(done=2))
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    first, heard[:] = list(heard), []
    assert await lab.work() == "finished"
    assert heard == first == [("staged", 1, "l1"), ("staged", 2, "l1")]


async def test_an_event_is_stored_as_it_was_when_it_was_emitted(make_lab):
    made = agent([("look", {}, "l1")], "done")

    @made.tool
    async def look(ctx: RunContext[Any]) -> str:
        event = StagedEvent(done=1)
        for done in (1, 2):
            event.done = done
            await ctx.emit(event)
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "finished"
    [finished] = await lab.of(ev.ToolFinished)
    assert [event["value"]["done"] for event in await lab.content(finished.emitted)] == [1, 2]


async def test_each_of_two_parallel_calls_has_its_own_events(make_lab):
    heard: Heard = []
    made = listening(agent([("look", {"n": 1}, "l1"), ("look", {"n": 2}, "l2")], "done"), heard)

    @made.tool
    async def look(ctx: RunContext[Any], n: int) -> str:
        await ctx.emit(StagedEvent(done=10 * n))
        await ctx.emit(StagedEvent(done=10 * n + 1))
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.sending", 2)), Died)
    heard.clear()
    assert await lab.work() == "finished"
    assert sorted(heard) == [("staged", 10, "l1"), ("staged", 11, "l1"), ("staged", 20, "l2"), ("staged", 21, "l2")]
    for call in ("l1", "l2"):
        done = [done for _, done, whose in heard if whose == call]
        assert done == sorted(done)


async def test_events_of_hooks_around_the_tool_belong_to_its_outcome(make_lab):
    """The hooks are not called again either."""
    heard: list[Any] = []
    hooks = Hooks[Any]()

    @hooks.on.after_tool_execute
    async def after(ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any, result: Any) -> Any:
        await ctx.emit(StagedEvent(done=7))
        return result

    class Checking(AbstractCapability[Any]):
        async def before_tool_execute(self, ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any) -> Any:
            await ctx.emit(CheckedEvent(where="before"))
            return args

    made = agent([("look", {}, "l1")], "done", capabilities=[hooks, Checking()])

    @made.on_event(StagedEvent, CheckedEvent)
    async def on_any(ctx: RunContext[Any], event: Any) -> None:
        heard.append(event)

    @made.tool_plain
    async def look() -> str:
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    first, heard[:] = list(heard), []
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert heard == first
    assert [type(event) for event in heard] == [CheckedEvent, StagedEvent]
    assert heard[0].capability_id is not None


async def test_what_a_listener_emits_in_turn_comes_once(make_lab):
    """A listener that is called before `emit` returns is called at replay too, and emits by itself."""
    heard: list[str] = []

    class Deciding(AbstractCapability[Any]):
        async def before_tool_execute(self, ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any) -> Any:
            await ctx.emit(DecidingEvent())
            await ctx.emit(CheckedEvent(where="behind"))
            return args

        async def on_event(self, ctx: RunContext[Any], *, event: Any) -> None:
            if isinstance(event, DecidingEvent):
                await ctx.emit(AnsweringEvent())
            if isinstance(event, CapabilityEvent):
                heard.append(type(event).__name__)

    made = agent([("look", {}, "l1")], "done", capabilities=[Deciding()])

    @made.tool_plain
    async def look() -> str:
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    first, heard[:] = list(heard), []
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert heard == first
    assert sorted(heard) == ["AnsweringEvent", "CheckedEvent", "DecidingEvent"]


async def test_events_of_a_sub_agents_tool_come_again(make_lab):
    heard: Heard = []
    inner = listening(Agent(scripted([("deep", {}, "d1")], "inner done"), name="inner"), heard)

    @inner.tool
    async def deep(ctx: RunContext[Any]) -> str:
        await ctx.emit(StagedEvent(done=1))
        await ctx.emit(StagedEvent(done=2))
        return "deep"

    outer = agent([("ask", {}, "o1")], "outer done")

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        return (await inner.run("sub", usage=ctx.usage)).output

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    # The inner run's second request: its tool is done.
    assert isinstance(await lab.work(probe=die_at("intent.before", 5)), Died)
    first, heard[:] = list(heard), []
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert heard == first == [("staged", 1, "d1"), ("staged", 2, "d1")]


async def test_an_event_that_cannot_be_stored_costs_only_itself(make_lab):
    """By then the tool may have acted: it is no reason to fail."""
    heard: Heard = []
    made = listening(agent([("look", {}, "l1")], "done"), heard)

    @made.tool
    async def look(ctx: RunContext[Any]) -> str:
        await ctx.emit(StagedEvent(done=1))
        await ctx.emit(UnstorableEvent(thing=object()))
        await ctx.emit(StagedEvent(done=2))
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    heard.clear()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert heard == [("staged", 1, "l1"), ("staged", 2, "l1")]


async def test_a_call_that_emits_nothing_stores_nothing(make_lab):
    made = agent([("look", {}, "l1")], "done")

    @made.tool_plain
    async def look() -> str:
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "finished"
    [finished] = await lab.of(ev.ToolFinished)
    assert finished.emitted is None


@pytest.mark.parametrize("form", ["tool", "text"])
@pytest.mark.parametrize("outcome", ["value", "retry"])
async def test_what_an_output_function_emits_and_enqueues_comes_again(make_lab, outcome, form):
    """It is part of the outcome of the function, which does not run again: without it the run would end sooner."""
    heard: Heard = []
    handed: list[str] = []
    seen: list[Any] = []

    @effect.once
    async def hand_over(ctx: RunContext[Any], text: str) -> str:
        """Hand the answer over."""
        handed.append(text.strip())
        await ctx.emit(StagedEvent(done=len(handed)))
        if len(handed) == 1:
            ctx.enqueue("one more thing")
            if outcome == "retry":
                raise ModelRetry("say it again")
        return f"handed {handed[-1]}"

    answers: list[Any] = ["one", "two"]
    if form == "tool":
        answers = [[("final_result", {"text": text}, f"f{text}")] for text in answers]
    made = listening(
        Agent(scripted(*answers, seen=seen), output_type=hand_over if form == "tool" else TextOutput(hand_over)), heard
    )
    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 3)), Died)
    assert [done for _, done, _ in heard] == [1]
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert handed == ["one", "two"]
    assert [done for _, done, _ in heard] == [1, 1, 2]
    assert await lab.output() == "handed two"
    assert str(seen[-1]).count("one more thing") == 1
    processed = await lab.of(ev.OutputProcessed)
    assert [(fact.outcome, fact.enqueued is not None) for fact in processed] == [(outcome, True), ("value", False)]
