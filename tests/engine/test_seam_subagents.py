"""Sub-agents named by the task: their inner steps are journaled under the outer call, and not repeated."""

import asyncio
import itertools
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Died, die_at

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide


def family(deep_calls: list[str], *, needs_approval: bool = False, declare: Any = effect.delegate) -> tuple[Any, Any]:
    inner = Agent(scripted([("deep", {"n": 1}, "d1")], [("deep", {"n": 2}, "d2")], "inner done"), name="inner")

    @inner.tool_plain(requires_approval=needs_approval)
    @effect.idempotent
    def deep(n: int) -> str:
        deep_calls.append(effect.key())
        return f"deep {n}"

    outer = agent([("ask", {}, "o1")], "outer done")

    @outer.tool
    @declare
    async def ask(ctx: RunContext[Any]) -> str:
        return (await inner.run("sub", usage=ctx.usage)).output

    return outer, inner


@pytest.mark.parametrize(
    "point", ["intent.before", "intent.after", "model.answered", "outcome.before", "outcome.after"]
)
async def test_killed_anywhere_inside_no_inner_step_is_repeated(make_lab, point):
    for nth in itertools.count(1):
        deep_calls: list[str] = []
        outer, inner = family(deep_calls)
        lab = await make_lab(outer, agents=[inner])
        await lab.start()
        died = await lab.work(probe=die_at(point, nth))
        if not isinstance(died, Died):
            assert nth > 3
            break
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        finished = [(event.scope, event.call) for event in await lab.of(ev.ToolFinished)]
        assert len(finished) == len(set(finished)) == 3
        assert len(set(deep_calls)) == 2
        [succeeded] = await lab.of(ev.RunSucceeded)
        assert (succeeded.usage.requests, succeeded.usage.tool_calls) == (5, 3)


async def test_inner_steps_are_journaled_under_the_outer_call(make_lab):
    outer, inner = family([])
    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    await lab.work()
    scopes = {event.scope for event in await lab.of(ev.ModelRequested)}
    assert scopes == {"", "1:o1>inner#1/"}


async def test_in_a_tool_that_is_not_delegate_a_sub_agent_is_part_of_one_step(make_lab):
    deep_calls: list[str] = []
    outer, inner = family(deep_calls, declare=effect.idempotent)
    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    await lab.work()
    await lab.expect("succeeded")
    assert {event.scope for event in await lab.of(ev.ModelRequested)} == {""}


async def test_an_approval_inside_a_delegate_parks_the_run_and_resumes_in_place(make_lab):
    deep_calls: list[str] = []
    outer, inner = family(deep_calls, needs_approval=True)
    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    for _ in range(2):
        assert await lab.work() == "parked"
        [task] = (await list_tasks_to_decide(lab.services, WHO)).items
        assert task.tool == "deep"
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(deep_calls) == len(set(deep_calls)) == 2


async def test_an_approval_inside_another_tool_fails_and_names_delegate(make_lab):
    outer, inner = family([], needs_approval=True, declare=effect.idempotent)
    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    assert "delegate" in await lab.failure()


async def test_pitfall_8_parallel_runs_of_one_sub_agent_keep_their_own_scopes(make_lab):
    inner = Agent(scripted("inner"), name="inner")
    outer = agent([("ask", {}, "a"), ("ask", {}, "b")], "done")

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        return (await inner.run("sub", usage=ctx.usage)).output

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    await lab.work()
    assert {event.scope for event in await lab.of(ev.ModelRequested)} == {"", "1:a>inner#1/", "1:b>inner#1/"}
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert succeeded.usage.requests == 4


async def test_a_zombie_that_knows_what_a_delegate_call_came_to_leaves_its_usage_to_the_next_holder(make_lab):
    """The next holder enters the body again and finds the inner steps done; a late report would count none of them."""
    inner = Agent(scripted([("deep", {}, "d1")], "inner done"), name="inner")
    outer = agent([("ask", {}, "o1")], "outer done")
    entered, may_end = asyncio.Semaphore(0), asyncio.Event()

    @inner.tool_plain
    @effect.idempotent
    async def deep() -> str:
        return "deep"

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        output = (await inner.run("sub", usage=ctx.usage)).output
        entered.release()
        await may_end.wait()
        return output

    lab = await make_lab(outer, agents=[inner])
    await lab.start()
    async with lab.worker() as zombie:
        running = asyncio.create_task(zombie.run())
        await entered.acquire()
        async with lab.worker() as next_holder:
            may_end.set()
            assert await running == "lost"
            assert await next_holder.run() == "finished"
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert (succeeded.usage.requests, succeeded.usage.tool_calls) == (4, 2)


async def test_a_branch_whose_provider_counts_half_tokens_is_resumed(make_lab):
    """The recorded answer has to be readable: an error in a branch is one that its tool may catch, and go on."""
    asked: list[str] = []

    def answer(name: str, *responses: Any) -> FunctionModel:
        def respond(messages: list[Any], _info: Any) -> ModelResponse:
            asked.append(name)
            said = responses[sum(isinstance(message, ModelResponse) for message in messages)]
            return ModelResponse(parts=[said], usage=RequestUsage(input_tokens=11.5, output_tokens=3))  # pyright: ignore[reportArgumentType]

        return FunctionModel(respond, model_name=name)

    branch = Agent(answer("branch", ToolCallPart("look", {}, "b1"), TextPart("found")), name="branch")
    branch.tool_plain(effect.pure(look_around))
    made = Agent(answer("own", ToolCallPart("ask", {}, "a1"), TextPart("done")))

    @made.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        try:
            return (await branch.run("look", usage=ctx.usage)).output
        except Exception as error:  # noqa: BLE001 - as people write it
            return f"nothing: {error}"

    lab = await make_lab(made, stream=False, agents=[branch])
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 5)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert asked.count("branch") <= 3


def look_around() -> str:
    return "a tree"
