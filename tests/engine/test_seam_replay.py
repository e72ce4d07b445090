"""A resumed run goes on exactly where it was: what the model saw, what was used, what was decided."""

import itertools
from typing import Any

import pytest
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart
from tests.engine.agents import agent, scripted, sequential
from tests.engine.lab import Died, die_at

from holdfast import effect
from holdfast.domain import events as ev


def counting_agent(count: int, calls: list[int], **options: Any) -> Agent[Any, Any]:
    made = agent(*sequential(count), **options)

    @made.tool_plain
    @effect.idempotent
    def step(i: int) -> dict[str, int]:
        calls.append(i)
        return {"i": i}

    return made


async def test_a_run_without_interruption_succeeds(make_lab):
    calls: list[int] = []
    lab = await make_lab(counting_agent(3, calls))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert (await lab.output()).strip() == "done"
    assert calls == [0, 1, 2]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "point", ["intent.before", "intent.after", "model.answered", "outcome.before", "outcome.after", "tool.entering"]
)
async def test_killed_at_every_passing_of_a_point_no_finished_step_runs_again(make_lab, point, stream):
    for nth in itertools.count(1):
        calls: list[int] = []
        lab = await make_lab(counting_agent(3, calls), stream=stream)
        await lab.start()
        died = await lab.work(probe=die_at(point, nth))
        if not isinstance(died, Died):
            assert nth > 1
            break
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        finished = [event.call for event in await lab.of(ev.ToolFinished)]
        assert sorted(finished) == ["c0", "c1", "c2"]
        assert sorted(set(calls)) == [0, 1, 2]
        assert len(calls) <= 4


async def test_usage_is_the_same_as_without_interruption(make_lab):
    async def used(points: list[int]) -> ev.Usage:
        calls: list[int] = []
        lab = await make_lab(counting_agent(4, calls))
        await lab.start()
        for nth in points:
            assert isinstance(await lab.work(probe=die_at("intent.after", nth)), Died)
        assert await lab.work() == "finished"
        [succeeded] = await lab.of(ev.RunSucceeded)
        return succeeded.usage

    assert await used([4, 5]) == await used([])


async def test_pitfall_1_injected_history_survives_the_replay(make_lab):
    """EVIDENCE 1.1: short-circuiting a request on replay must not lose what hooks put into the history."""

    class Memory(AbstractCapability[Any]):
        async def before_model_request(self, ctx: RunContext[Any], request_context: Any) -> Any:
            if ctx.run_step == 2:
                ctx.messages.append(ModelRequest(parts=[UserPromptPart("injected memory")]))
                request_context.messages = [*ctx.messages]
            return request_context

    seen: list[Any] = []
    made = agent(*sequential(3), seen=seen, capabilities=[Memory()])

    @made.tool_plain
    @effect.pure
    def step(i: int) -> int:
        return i

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 6)), Died)
    seen.clear()
    assert await lab.work() == "finished"
    prompts = [
        part.content
        for message in seen[-1]
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    assert prompts == ["hi", "injected memory"]


async def test_pitfall_2_a_replayed_call_counts(make_lab):
    """EVIDENCE 1.2: a recorded value given back directly loses `usage.tool_calls`."""
    calls: list[int] = []
    lab = await make_lab(counting_agent(5, calls))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 9)), Died)
    assert await lab.work() == "finished"
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert (succeeded.usage.requests, succeeded.usage.tool_calls) == (6, 5)


@pytest.mark.parametrize("delegate", [True, False])
async def test_pitfall_3_usage_of_nested_agents_survives_the_replay(make_lab, delegate):
    """EVIDENCE 1.3: nested usage vanishes on replay unless it is journaled with the call."""
    inner = Agent(scripted("inner"), name="inner")
    made = agent([("ask", {}, "o1")], [("ask", {}, "o2")], "outer")

    async def ask(ctx: RunContext[Any]) -> str:
        return (await inner.run("sub", usage=ctx.usage)).output

    made.tool(effect.delegate(ask) if delegate else effect.idempotent(ask))
    lab = await make_lab(made, agents=[inner] if delegate else [])
    await lab.start()
    died = await lab.work(probe=die_at("model.answered", 5 if delegate else 3))
    assert isinstance(died, Died), await lab.failure()
    assert await lab.work() == "finished"
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert (succeeded.usage.requests, succeeded.usage.tool_calls) == (5, 2)


async def test_pitfall_4_a_removed_tool_is_a_divergence_not_a_silent_retry(make_lab):
    """EVIDENCE 1.4: the journal holds a call that the code no longer makes."""
    calls: list[int] = []
    lab = await make_lab(counting_agent(3, calls))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 4)), Died)
    without = (await make_lab(agent(*sequential(3)))).app
    assert await lab.work(app=without) == "parked"
    assert (lab.row()["state"], lab.row()["waiting_on"]) == ("parked", "code")
    [diverged] = await lab.of(ev.RunDiverged)
    assert "step" in str(await lab.content(diverged.recorded))


async def test_a_changed_schema_of_a_called_tool_parks_and_shows_both_sides(make_lab):
    calls: list[int] = []
    lab = await make_lab(counting_agent(3, calls))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 4)), Died)
    changed = agent(*sequential(3))

    @changed.tool_plain
    @effect.idempotent
    def step(i: int, note: str = "") -> dict[str, int]:
        return {"i": i}

    assert await lab.work(app=(await make_lab(changed)).app) == "parked"
    [diverged] = await lab.of(ev.RunDiverged)
    recorded, found = await lab.content(diverged.recorded), await lab.content(diverged.found)
    assert recorded["tool"] == found["tool"] == "step"
    assert recorded["schema"] != found["schema"]
    # With the old code back, the run goes on.
    assert calls in ([0, 1], [0])


async def test_pitfall_5_hooks_of_recorded_steps_do_not_run_again(make_lab):
    """EVIDENCE 1.5: hooks, validators and policy of journaled steps are not repeated."""
    ran: list[tuple[str, int]] = []

    class Judge(AbstractCapability[Any]):
        async def after_model_request(self, ctx: Any, *, request_context: Any, response: Any) -> Any:
            ran.append(("after_model", ctx.run_step))
            return response

        async def before_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
            ran.append(("before_tool", ctx.run_step))
            return args

    lab = await make_lab(counting_agent(3, [], capabilities=[Judge()]))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 6)), Died)
    assert await lab.work() == "finished"
    assert sorted(ran) == sorted(
        [("after_model", n) for n in (1, 2, 3, 4)] + [("before_tool", n) for n in (1, 2, 3)] + [("before_tool", 3)]
    )


async def test_a_prompt_that_reads_the_clock_and_a_changed_balance_resumes_exactly(make_lab):
    now = itertools.count(100)
    seen: list[Any] = []
    made = agent(*sequential(3), seen=seen)

    @made.instructions
    def clock() -> str:
        return f"now={next(now)}"

    @made.system_prompt
    def balance() -> str:
        return f"balance={next(now)}"

    @made.tool_plain
    @effect.pure
    def step(i: int) -> int:
        return next(now)

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 6)), Died)
    before = list(seen[-1])
    seen.clear()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    kept = seen[0][: len(before)]
    assert [message.parts for message in kept] == [message.parts for message in before]
    assert [getattr(message, "instructions", None) for message in kept] == [
        getattr(message, "instructions", None) for message in before
    ]


async def test_a_response_rejected_by_a_hook_replays_through_the_rejection(make_lab):
    judged: list[int] = []

    class Judge(AbstractCapability[Any]):
        async def after_model_request(self, ctx: Any, *, request_context: Any, response: Any) -> Any:
            judged.append(ctx.run_step)
            if ctx.run_step == 2:
                raise ModelRetry("judge says no")
            return response

    seen: list[Any] = []
    lab = await make_lab(counting_agent(4, [], capabilities=[Judge()], seen=seen), stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 6)), Died)
    assert await lab.work() == "finished"
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert judged.count(2) == 1
    rejected = [event for event in await lab.of(ev.ModelResponded) if event.retry is not None]
    assert [event.step for event in rejected] == [2]
    assert await lab.content(rejected[0].retry) == "judge says no"
    assert any("judge says no" in str(message) for message in seen[-1])
    assert succeeded.usage.requests == len(await lab.of(ev.ModelResponded))


async def test_tool_retries_and_failures_replay_as_what_they_were(make_lab):
    entered: list[int] = []
    made = agent([("flaky", {"i": 0}, "a")], [("flaky", {"i": 1}, "b")], [("flaky", {"i": 2}, "c")], "done", retries=3)

    @made.tool_plain
    @effect.idempotent
    def flaky(i: int) -> str:
        entered.append(i)
        if i == 0:
            raise ModelRetry("again, please")
        if i == 1:
            raise ToolFailed("no such thing")
        return "fine"

    seen: list[Any] = []
    made.model = scripted(
        [("flaky", {"i": 0}, "a")], [("flaky", {"i": 1}, "b")], [("flaky", {"i": 2}, "c")], "done", seen=seen
    )
    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.sending", 4)), Died)
    assert await lab.work() == "finished"
    assert entered == [0, 1, 2]
    returns = [
        (part.outcome, str(part.content))
        for message in seen[-1]
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    assert [outcome for outcome, _ in returns] == ["retried", "failed", "success"]
    assert "again, please" in returns[0][1]
    assert "no such thing" in returns[1][1]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_hundred_requests_store_each_message_once(make_lab, stream):
    lab = await make_lab(counting_agent(40, []), stream=stream, usage_limits=None)
    await lab.start()
    assert await lab.work() == "finished"
    requested = await lab.of(ev.ModelRequested)
    named = [ref for event in requested for ref in event.messages.add]
    assert len(requested) == 41
    assert len(named) == len(set(named)) == 81
    assert {event.raw for event in await lab.of(ev.ModelResponded)} == {None}
