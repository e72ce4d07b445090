"""Sub-agents in the shapes that people write them: task groups, threads, recursion, several at once."""

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent, ApprovalRequired, RunContext
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Died, die_at, eventually

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide


async def decide_all(lab: Any) -> None:
    for task in (await list_tasks_to_decide(lab.services, WHO)).items:
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)


@pytest.mark.parametrize("together", ["gather", "task group"])
async def test_an_approval_inside_parallel_inner_runs_parks_and_lets_the_others_finish_their_step(make_lab, together):
    """ENGINE, The seam: suspension in one parallel call waits until its started siblings settle."""
    slow_may_end, entered = asyncio.Event(), list[str]()
    careful = Agent(scripted([("pay", {}, "p1")], "paid"), name="careful")
    busy = Agent(scripted([("slow", {}, "s1")], "done"), name="busy")

    @careful.tool_plain(requires_approval=True)
    @effect.once
    async def pay() -> str:
        entered.append("pay")
        return "paid"

    @busy.tool_plain
    @effect.once
    async def slow() -> str:
        entered.append("slow")
        await slow_may_end.wait()
        return "slow"

    outer = agent([("ask", {}, "o1")], "outer done")

    @outer.tool_plain
    @effect.delegate
    async def ask() -> str:
        if together == "gather":
            await asyncio.gather(busy.run("b"), careful.run("c"))
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(busy.run("b"))
                group.create_task(careful.run("c"))
        return "both"

    lab = await make_lab(outer, agents=[careful, busy])
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        async with asyncio.timeout(30):
            while not await lab.of(ev.ApprovalAsked) or "slow" not in entered:
                await asyncio.sleep(0.01)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not running.done()
        slow_may_end.set()
        assert await asyncio.wait_for(running, 30) == "parked"
    assert [event.call for event in await lab.of(ev.ToolFinished)] == ["s1"]
    await decide_all(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert entered == ["slow", "pay"]
    assert await lab.of(ev.EffectInDoubt) == []


async def test_a_delegate_that_leaves_the_loop_is_told_so(make_lab):
    """A sub-agent run in a thread has a loop of its own, from which nothing can be journaled: it must not hang."""
    inner = Agent(scripted("inner"), name="inner")
    outer = agent([("ask", {}, "o1")], "outer done")

    @outer.tool_plain
    @effect.delegate
    def ask() -> str:
        return inner.run_sync("sub").output

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    assert await asyncio.wait_for(lab.work(), 30) == "finished"
    assert lab.state == "failed"
    assert "async" in await lab.failure()


async def test_a_delegate_that_no_longer_asks_for_its_inner_steps_diverges(make_lab):
    """ENGINE, The seam: divergence compares kind and order of steps, unconsumed entries: inside delegates too."""
    asked: list[int] = []
    inner = Agent(scripted("inner"), name="inner")
    outer = agent([("ask", {}, "o1")], "outer done")

    @outer.tool_plain
    @effect.delegate
    async def ask() -> str:
        asked.append(1)
        return (await inner.run("sub")).output if len(asked) == 1 else "made up"

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "code"
    [diverged] = await lab.of(ev.RunDiverged)
    assert "inner#1" in str(await lab.content(diverged.recorded))


async def test_an_agent_that_runs_itself_is_journaled_once(make_lab):
    """The same agent as outer and inner: its own calls are its own, not an inner run's."""
    paid: list[str] = []

    def first(messages: Any) -> Any:
        said = str(messages[0].parts[-1].content)
        return [("pay", {}, "p1")] if said == "sub" else [("ask", {}, "o1")]

    made = Agent(scripted(first, "done"), name="self")

    @made.tool_plain
    @effect.delegate
    async def ask() -> str:
        return (await made.run("sub")).output

    @made.tool
    @effect.once
    async def pay(ctx: RunContext[Any]) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        paid.append(effect.key())
        return "paid"

    lab = await make_lab(made, agents=[made])
    await lab.start()
    assert await lab.work() == "parked"
    await decide_all(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(paid) == 1
    started = [(event.scope, event.tool) for event in await lab.of(ev.ToolStarted)]
    assert started.count(("", "ask")) == 2
    assert {scope for scope, tool in started if tool == "ask"} == {""}


async def test_an_agent_that_lists_itself_may_ask_for_approval_itself(make_lab):
    made = Agent(scripted([("pay", {}, "p1")], "done"), name="self")

    @made.tool
    @effect.once
    async def pay(ctx: RunContext[Any]) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        return "paid"

    lab = await make_lab(made, agents=[made])
    await lab.start()
    assert await lab.work() == "parked"
    await decide_all(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


def two_deep(ran: list[str]) -> tuple[Any, Any, Any]:
    deep = Agent(scripted([("dig", {}, "d1")], "dug"), name="deep")
    middle = Agent(scripted([("down", {}, "m1")], "up"), name="middle")
    outer = agent([("ask", {}, "o1")], "done")

    @deep.tool_plain
    @effect.idempotent
    def dig() -> str:
        ran.append(effect.key())
        return "dug"

    @middle.tool
    @effect.delegate
    async def down(ctx: RunContext[Any]) -> str:
        return (await deep.run("dig", usage=ctx.usage)).output

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        return (await middle.run("go", usage=ctx.usage)).output

    return outer, middle, deep


@pytest.mark.parametrize("point", ["model.answered", "outcome.before", "outcome.after"])
async def test_delegates_two_deep_repeat_nothing(make_lab, point):
    """ENGINE, The seam: a tool that runs sub-agents is delegate, at any depth."""
    for nth in range(1, 12):
        ran: list[str] = []
        outer, *inner = two_deep(ran)
        lab = await make_lab(outer, agents=inner)
        await lab.start()
        died = await lab.work(probe=die_at(point, nth))
        if isinstance(died, Died):
            assert await lab.work() == "finished"
        await lab.expect("succeeded")
        finished = [(event.scope, event.call) for event in await lab.of(ev.ToolFinished)]
        assert len(finished) == len(set(finished)) == 3
        assert len(set(ran)) == 1
        [succeeded] = await lab.of(ev.RunSucceeded)
        assert (succeeded.usage.requests, succeeded.usage.tool_calls) == (6, 3)
        if not isinstance(died, Died):
            return
    pytest.fail("never came to its end")


async def test_runs_of_one_agent_at_once_keep_apart(make_lab):
    """Overrides are the run's own: the same outer and inner agents serve many runs of one process at once."""
    inner = Agent(scripted([("deep", {}, "d1")], "inner"), name="inner")
    both = asyncio.Barrier(2)

    @inner.tool_plain
    @effect.idempotent
    async def deep() -> str:
        await asyncio.wait_for(both.wait(), 30)
        return effect.key()

    outer = agent([("ask", {}, "o1")], "done")

    @outer.tool_plain
    @effect.delegate
    async def ask() -> str:
        return (await inner.run("sub")).output

    first, second = await make_lab(outer, agents=[inner]), await make_lab(outer, agents=[inner])
    await first.start()
    async with first.worker() as one:
        await second.start()
        async with second.worker() as two:
            assert [*await asyncio.gather(one.run(), two.run())] == ["finished", "finished"]
    for lab in (first, second):
        await lab.expect("succeeded")
        assert all(str(lab.run) in event.key for event in await lab.of(ev.ToolStarted))
        assert len(await lab.of(ev.ToolFinished)) == 2
    await eventually(lambda: first.state == second.state == "succeeded")


async def test_outside_of_a_run_the_agents_are_as_they_were(make_lab):
    inner = Agent(scripted("inner"), name="inner")
    outer = agent("done")
    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    before = (inner.model, tuple(inner.toolsets))
    assert await lab.work() == "finished"
    assert (inner.model, tuple(inner.toolsets)) == before
    assert (await inner.run("x")).output == "inner"


async def test_inner_runs_that_start_in_another_order_find_their_own_steps(make_lab):
    """Inner runs started together are told apart by what they were asked, not by which was quicker this time."""
    turns: list[str] = []

    def echo(messages: Any, info: Any) -> Any:
        return ModelResponse(parts=[TextPart(f"about {messages[0].parts[0].content}")])

    inner = Agent(FunctionModel(echo), name="inner")

    @inner.instructions
    async def wait_for_turn(ctx: RunContext[Any]) -> str:
        # The first time A goes first, then B.
        first = "A" if len(turns) < 2 else "B"
        if ctx.prompt != first:
            count = len(turns) // 2 * 2
            await eventually(lambda: len(turns) > count)
        turns.append(str(ctx.prompt))
        return ""

    outer = agent([("ask", {}, "o1")], "done")

    @outer.tool_plain
    @effect.delegate
    async def ask() -> str:
        answers = await asyncio.gather(inner.run("A"), inner.run("B"))
        return ", ".join(answer.output for answer in answers)

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "finished"
    assert turns == ["A", "B", "B", "A"]
    [finished] = await lab.of(ev.ToolFinished)
    assert (await lab.content(finished.result))["value"] == "about A, about B"


async def test_allowed_inner_siblings_run_and_are_recorded_before_the_run_parks(make_lab):
    """ENGINE, The seam: allowed siblings run and are recorded before the run parks: inside delegates too."""
    slow_may_end, looked = asyncio.Event(), list[str]()
    inner = Agent(scripted([("pay", {}, "p1"), ("look", {}, "l1")], "inner"), name="inner")
    outer = agent([("ask", {}, "o1")], "done")

    @inner.tool_plain(requires_approval=True)
    @effect.once
    async def pay() -> str:
        return "paid"

    @inner.tool_plain
    @effect.once
    async def look() -> str:
        looked.append("look")
        await slow_may_end.wait()
        return "seen"

    @outer.tool_plain
    @effect.delegate
    async def ask() -> str:
        return (await inner.run("sub")).output

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        async with asyncio.timeout(30):
            while not await lab.of(ev.ApprovalAsked) or not looked:
                await asyncio.sleep(0.01)
        for _ in range(50):
            await asyncio.sleep(0)
        slow_may_end.set()
        assert await asyncio.wait_for(running, 30) == "parked"
    await decide_all(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert looked == ["look"]
