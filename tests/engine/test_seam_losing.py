"""After a run is known to be lost, nothing of it is entered or sent: whatever was announced, in whatever thread."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import UseThreadExecutor
from pydantic_ai.messages import ModelMessage
from pydantic_ai.toolsets import FunctionToolset, WrapperToolset
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Lab

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.engine import execution
from holdfast.service.cancel_run import cancel_run


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What a worker knows is told before anybody looks, however slow the machine."""
    monkeypatch.setattr(execution, "_TELL_S", 60.0)


TOOLS = [("step", {"i": 0}, "a"), ("plain", {"i": 1}, "b"), ("step", {"i": 2}, "c")]


class Entered:
    """What has been entered or sent, in order."""

    def __init__(self) -> None:
        self.things: list[str] = []

    def note(self, thing: str) -> None:
        self.things.append(thing)


def asking(entered: Entered, *script: Any) -> Any:
    """A model that notes each request."""

    def noted(turn: Any) -> Any:
        def said(_: list[ModelMessage]) -> Any:
            entered.note("model")
            return turn

        return said

    return scripted(*map(noted, script))


def working(entered: Entered, **options: Any) -> Agent[Any, Any]:
    made = Agent(asking(entered, TOOLS, [("ask", {}, "e")], "done"), **options)

    @made.tool_plain
    @effect.pure
    async def step(i: int) -> str:
        entered.note(f"step {i}")
        return f"step {i}"

    @made.tool_plain
    @effect.pure
    def plain(i: int) -> str:
        entered.note(f"plain {i}")
        return f"plain {i}"

    inner = Agent(asking(entered, [("deep", {}, "d1"), ("deep_plain", {}, "d2")], "inner done"), name="inner")

    @inner.tool_plain
    @effect.pure
    async def deep() -> str:
        entered.note("deep")
        return "deep"

    @inner.tool_plain
    @effect.pure
    def deep_plain() -> str:
        entered.note("deep plain")
        return "deep plain"

    @made.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        return (await inner.run("sub", usage=ctx.usage)).output

    made.inner = inner
    return made


class Loss:
    """The run is lost the nth time a point is passed: the execution is told, or its lease runs out."""

    def __init__(self, lab: Lab, entered: Entered, point: str, nth: int, *, told: bool) -> None:
        self._lab, self._entered, self._point, self._left, self._told = lab, entered, point, nth, told
        self.execution: Any = None
        self.before: list[str] | None = None
        """What was entered by then."""

    def __call__(self, passed: str) -> None:
        self._left -= passed == self._point
        if self._left or self.before is not None:
            return
        self.before = [*self._entered.things]
        if self._told:
            self.execution.lose("the lease has expired")
        else:
            self._lab.lease.expired = True


@pytest.mark.parametrize("told", [True, False], ids=["told", "by its clock"])
@pytest.mark.parametrize(
    "point", ["intent.before", "append.after_commit", "intent.after", "tool.entering", "model.sending"]
)
async def test_nothing_is_entered_once_the_run_is_lost(make_lab, point, told):
    """At every passing of each point from intent to effect; after a commit, its answer comes in the same turn."""
    for nth in itertools.count(1):
        entered = Entered()
        made = working(entered)
        lab = await make_lab(made, agents=[made.inner])
        await lab.start()
        loss = Loss(lab, entered, point, nth, told=told)
        async with lab.worker(probe=loss) as loss.execution:
            ended = await loss.execution.run()
        if loss.before is None:
            assert ended == "finished"
            assert nth > 5
            return
        if ended == "finished":  # it was lost at its very last commit
            assert point == "append.after_commit"
            continue
        assert ended == "lost"
        assert sorted(entered.things) == sorted(loss.before)
        if nth == 1:
            assert await lab.work() == "finished"


def paying(entered: list[str], where: str) -> tuple[Agent[Any, Any], list[Agent[Any, Any]]]:
    """An agent with one effect that may not run twice: of a tool, of a sub-agent's tool, or of its output function."""

    @effect.once
    async def pay(text: str = "") -> str:
        """Pay."""
        entered.append(effect.key())
        return "paid"

    if where == "output":
        return Agent(scripted([("final_result", {"text": "hello"}, "f1")]), output_type=pay), []
    made = agent([("pay", {}, "p1")], "done", name="payer")
    made.tool_plain(pay)
    if where == "tool":
        return made, []
    outer = agent([("ask", {}, "o")], "done")

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        return (await made.run("sub", usage=ctx.usage)).output

    return outer, [made]


@pytest.mark.parametrize("told", [True, False], ids=["told", "by its clock"])
@pytest.mark.parametrize("where", ["tool", "sub-agent", "output"])
@pytest.mark.parametrize("point", ["append.after_commit", "intent.after", "tool.entering"])
async def test_what_was_announced_and_never_begun_is_run_elsewhere_without_asking_anybody(make_lab, point, where, told):
    """At every passing of each point: wherever the body was not entered, the worker that lost the run knows that."""
    refused = 0
    for nth in itertools.count(1):
        entered: list[str] = []
        made, agents = paying(entered, where)
        lab = await make_lab(made, agents=agents)
        await lab.start()
        loss = Loss(lab, Entered(), point, nth, told=told)
        async with lab.worker(probe=loss) as loss.execution:
            ended = await loss.execution.run()
        if loss.before is None or ended == "finished":
            assert len(entered) == 1
            assert refused or (where, point) == ("output", "tool.entering"), "it was never lost in between"
            return
        before = len(entered)
        announced = bool(await lab.of(ev.ToolStarted if where != "output" else ev.OutputStarted))
        refused += announced and not entered
        assert await lab.work() == "finished", await lab.events()
        await lab.expect("succeeded")
        assert len(entered) == 1
        assert not await lab.of(ev.EffectInDoubt)
        if announced and not before and (where != "sub-agent" or len(await lab.of(ev.ToolStarted)) > 1):
            assert [resolved.resolution for resolved in await lab.of(ev.EffectResolved)] in (["not_done"], [])


@pytest.mark.parametrize("where", ["tool", "output"])
async def test_a_run_that_is_cancelled_then_leaves_nobody_a_question_about_it(make_lab, where):
    made, _ = paying([], where)
    lab = await make_lab(made)
    await lab.start()
    loss = Loss(lab, Entered(), "intent.after", 2, told=True)
    async with lab.worker(probe=loss) as loss.execution:
        assert await loss.execution.run() == "lost"
    await cancel_run(lab.services, WHO, lab.run)
    assert await lab.work() == "finished"
    await lab.expect("cancelled")
    assert [resolved.resolution for resolved in await lab.of(ev.EffectResolved)] == ["not_done"]
    assert not await lab.of(ev.EffectInDoubt)


class Late(ThreadPoolExecutor):
    """A busy pool: what is queued begins when something else has happened."""

    def __init__(self) -> None:
        super().__init__(1)
        self.meanwhile = lambda: None

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        def begun() -> Any:
            self.meanwhile()
            return function(*args, **kwargs)

        return super().submit(begun)


class Acting(WrapperToolset[Any]):
    """A toolset of the user's, which might do anything before it passes a call on."""


@pytest.mark.parametrize("how", ["told", "by its clock"])
@pytest.mark.parametrize("where", ["its own", "a sub-agent's", "in a wrapper"])
async def test_a_tool_that_stands_in_a_threads_queue_is_not_entered_when_its_turn_comes(make_lab, how, where):
    entered = list[str]()
    inside = where != "its own"
    with Late() as late:

        @effect.once
        def plain() -> str:
            entered.append(effect.key())
            return "entered"

        toolset: Any = FunctionToolset([plain])
        tools = Agent(
            scripted([("plain", {}, "a")], "inner done"),
            name="inner",
            toolsets=[Acting(toolset) if where == "in a wrapper" else toolset],
            capabilities=[UseThreadExecutor(late)],
        )
        outer = agent([("ask", {}, "o")], "done")

        @outer.tool
        @effect.delegate
        async def ask(ctx: RunContext[Any]) -> str:
            return (await tools.run("sub", usage=ctx.usage)).output

        lab = await (make_lab(outer, agents=[tools]) if inside else make_lab(tools))
        await lab.start()
        async with lab.worker() as execution:
            loop = asyncio.get_running_loop()

            def lose() -> None:
                if lab.points.count("tool.entering") < 1 + inside:  # the model's function goes through the pool too
                    return
                # Told, the execution stops waiting for the thread, which nobody stops: its first look must.
                if how == "told":
                    asyncio.run_coroutine_threadsafe(told(), loop).result()
                else:
                    lab.lease.expired = True

            async def told() -> None:
                execution.lose("the lease has expired")

            late.meanwhile = lose
            assert await execution.run() == "lost"
        late.meanwhile = lambda: None
        assert entered == []
        assert "plain" in [started.tool for started in await lab.of(ev.ToolStarted)]
        if how == "by its clock":  # told, it does not wait to hear from the thread, and may ask people
            # What an agent's own capabilities, or a wrapper, did on the way is not known.
            known = where == "a sub-agent's"
            assert await lab.work() == ("finished" if known else "parked")
            assert len(entered) == known
