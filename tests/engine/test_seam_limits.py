"""Limits of a run: each stops it before the step that would exceed it, and raised, it goes on exactly there."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.agents import agent, sequential
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_policy import pending
from tests.engine.test_seam_tallies import counting

from holdfast import EscalationPath, Limits, UserError, effect, governed
from holdfast.domain import events as ev
from holdfast.domain.errors import IdempotencyConflict, InvalidInput
from holdfast.service.decide_approval import MayNotDecide
from holdfast.service.decide_escalation import decide_escalation
from holdfast.service.show_run import show_run
from support.credentials import admin


def stepping(done: list[int], count: int = 4, *, recovery: Any = effect.idempotent, script: Any = None) -> Any:
    made = agent(*(script or sequential(count)))

    @made.tool_plain
    @recovery
    @governed(system="desk", tallies={"moved": "amount"})
    async def step(i: int, amount: Decimal = Decimal(10)) -> str:
        done.append(i)
        return f"did {i}"

    return made


async def raise_to(lab: Any, **limits: Any) -> None:
    [task] = await pending(lab)
    named = {name.replace("__", ":"): most for name, most in limits.items()}
    await decide_escalation(lab.services, WHO, task.id, "go_on", digest=task.digest, limits=named)


LIMITS = [
    ("steps", Limits(steps=5), 2, {"steps": 100}),
    ("model_requests", Limits(model_requests=2), 2, {"model_requests": 100}),
    ("tool_calls", Limits(tool_calls=3), 3, {"tool_calls": 100}),
    ("calls:step", Limits(calls={"step": 1}), 1, {"calls__step": 100}),
    ("side_effects", Limits(side_effects=2), 2, {"side_effects": 100}),
    ("writes:desk", Limits(writes={"desk": 2}), 2, {"writes__desk": 100}),
    ("amount:moved", Limits(amounts={"moved": "39.99"}), 3, {"amount__moved": "100"}),
]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("name", "limits", "before", "more"), LIMITS, ids=[one[0] for one in LIMITS])
async def test_it_stops_before_the_step_that_would_exceed_it_and_goes_on_there(
    make_lab, name, limits, before, more, stream
):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=limits, stream=stream)
    await lab.start()
    assert await lab.work() == "parked"
    assert done == list(range(before))
    assert lab.row()["waiting_on"] == "limit"
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.ask) == (name, "admin")
    assert escalated.stood <= limits.ceilings()[name]
    assert await lab.work_again() == [], "nothing wakes it by itself"
    await raise_to(lab, **more)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert done == [0, 1, 2, 3]


async def test_a_system_that_the_task_does_not_name_may_be_let_in_by_people(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done, 1), limits=Limits(writes={}))
    await lab.start()
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.most, done) == ("writes:desk", 0, [])
    await raise_to(lab, writes__desk=1)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_the_frameworks_own_limit_does_not_fail_a_run_whose_task_has_limits(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done, 55, recovery=effect.pure), limits=Limits(steps=500), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(done) == 55


async def test_calls_side_by_side_do_not_pass_together(make_lab):
    done: list[int] = []
    calls = [("step", {"i": i}, f"c{i}") for i in range(5)]
    lab = await make_lab(stepping(done, script=[calls, "done"]), limits=Limits(tool_calls=3))
    await lab.start()
    assert await lab.work() == "parked"
    assert sorted(done) == [0, 1, 2]
    assert len(await lab.of(ev.ToolStarted)) == 3
    await raise_to(lab, tool_calls=5)
    assert await lab.work() == "finished"
    assert sorted(done) == [0, 1, 2, 3, 4]


async def test_a_call_that_was_denied_at_the_last_moment_is_not_counted(make_lab):
    done: list[int] = []
    paying = [("pay", {"amount": 300}, f"p{i}") for i in range(6)]
    looking = [("step", {"i": i}, f"c{i}") for i in range(3)]
    made = stepping(done, script=[paying, looking, "done"])

    @made.tool_plain
    @effect.idempotent
    async def pay(amount: int) -> str:
        return f"paid {amount}"

    lab = await counting(make_lab, made, limit=1000, limits=Limits(tool_calls=6))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert (len(await lab.of(ev.CallDenied)), len(await lab.of(ev.ToolStarted)), len(done)) == (3, 6, 3)


async def test_the_calls_of_one_answer_are_limited(make_lab):
    done: list[int] = []
    calls = [("step", {"i": i}, f"c{i}") for i in range(3)]
    lab = await make_lab(stepping(done, script=[calls, calls[:2], "done"]), limits=Limits(fan_out=2), on_limit="fail")
    await lab.start()
    assert await lab.work() == "finished"
    assert (lab.state, len(done)) == ("failed", 2)
    assert "tool calls of one answer" in await lab.failure()


async def test_a_step_that_a_crash_cut_off_is_not_counted_twice(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done, 2), limits=Limits(tool_calls=2, steps=5, side_effects=2))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert done == [0, 1, 1]


async def test_what_was_raised_stays_raised_after_a_crash(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=1))
    await lab.start()
    assert await lab.work() == "parked"
    await raise_to(lab, tool_calls=4)
    assert isinstance(await lab.work(probe=die_at("intent.after", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_reached_again_people_are_asked_again(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=1))
    await lab.start()
    assert await lab.work() == "parked"
    [first] = await pending(lab)
    for wrong in ({}, {"steps": 9}, {"tool_calls": 1}, {"tool_calls": "two"}, {"tool_callz": 2}):
        with pytest.raises(InvalidInput):
            await raise_to(lab, **wrong)
    await raise_to(lab, tool_calls=2)
    assert await lab.work() == "parked"
    [second] = await pending(lab)
    assert (second.id != first.id, second.round, done) == (True, 2, [0, 1])


async def test_the_request_tightens_and_never_loosens(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=3), on_limit="fail")
    await lab.start(limits={"tool_calls": 1, "steps": 100})
    assert await lab.work() == "finished"
    assert (lab.state, done) == ("failed", [0])
    assert "LimitReached: The limit on tool calls is reached: 1 of 1, and a call of 'step' comes next." in (
        await lab.failure()
    )
    await lab.start(limits={"tool_calls": 100})
    assert await lab.work() == "finished"
    assert done == [0, 0, 1, 2]
    with pytest.raises(InvalidInput, match="no limit 'tool_kalls'"):
        await lab.start(limits={"tool_kalls": 1})
    with pytest.raises(InvalidInput, match="tool 'stepp', which it does not have"):
        await lab.start(limits={"calls:stepp": 1})


async def test_a_request_is_the_same_though_the_tasks_limits_changed(make_lab):
    lab = await make_lab(stepping([]), limits=Limits(tool_calls=3))
    first = await lab.start(limits={"steps": 9}, idempotency_key="k")
    lab.app = (await make_lab(stepping([]), limits=Limits(tool_calls=4))).app
    assert await lab.start(limits={"steps": 9}, idempotency_key="k") == first
    with pytest.raises(IdempotencyConflict):
        await lab.start(limits={"steps": 8}, idempotency_key="k")


async def test_working_time_counts_what_earlier_workers_took_and_no_waiting(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(wall_clock=100, deadline=10_000))
    await lab.start()
    now = 0.0

    def clock() -> float:
        return now

    lab.monotonic = clock

    def slow(point: str) -> None:
        nonlocal now
        if point == "tool.entering":
            now += 60

    assert await lab.work(probe=slow) == "parked"
    assert done == [0, 1]
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.stood) == ("wall_clock", 120)


async def test_the_time_since_it_was_asked_for_counts_waiting(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(deadline="1h"), on_limit="fail")
    await lab.start()
    lab.later_s = 3700
    assert await lab.work() == "finished"
    assert (lab.state, done) == ("failed", [])
    assert "time since it was asked for" in await lab.failure()


def answering(*usages: tuple[int, int], asked: list[Any], cut: bool = False) -> FunctionModel:
    """A model that says how many tokens it took, and is cut where it is told to be short."""

    def answer(messages: list[Any], info: AgentInfo) -> ModelResponse:
        most = (info.model_settings or {}).get("max_tokens")
        asked.append(most)
        used, said = usages[min(len(asked), len(usages)) - 1]
        short = most is not None and said > most
        return ModelResponse(
            parts=[TextPart("x" * 10)],
            usage=RequestUsage(input_tokens=used, output_tokens=min(said, most or said)),
            finish_reason="length" if short else "stop",
        )

    return FunctionModel(answer)


async def test_a_request_that_might_exceed_the_tokens_is_not_sent(make_lab):
    asked: list[Any] = []
    lab = await make_lab(Agent(answering((50, 10), asked=asked)), limits=Limits(input_tokens=100), stream=False)
    await lab.start(input="y" * 5000)
    assert await lab.work() == "parked"
    assert asked == []
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.stood) == ("input_tokens", 0)


async def test_an_answer_is_told_how_much_is_left_and_one_cut_short_is_no_failure_of_the_model(make_lab):
    asked: list[Any] = []
    lab = await make_lab(
        Agent(answering((50, 900), asked=asked)), limits=Limits(output_tokens=500, max_output_tokens=2000), stream=False
    )
    await lab.start()
    assert await lab.work() == "parked"
    assert asked == [500]
    [failed] = await lab.of(ev.ModelFailed)
    assert (failed.error, failed.usage.output_tokens) == ("AnswerCut", 500)
    await raise_to(lab, output_tokens=4000)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert asked == [500, 2000], "what was cut was paid for, and there is enough left"


async def test_room_to_think_is_not_taken_from_an_answer(make_lab):
    asked: list[Any] = []
    thinking: Any = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1000}}
    made = Agent(answering((50, 10), asked=asked), model_settings=thinking)
    lab = await make_lab(made, limits=Limits(output_tokens=1200), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert asked == [], "what is left would do for the thinking and hardly for an answer"
    await raise_to(lab, output_tokens=50_000)
    assert await lab.work() == "finished"
    assert asked == [8192 + 1000]


async def test_an_output_that_is_too_large_is_not_a_success(make_lab):
    made = agent("a long answer, longer than allowed")
    lab = await make_lab(made, limits=Limits(output_bytes=10))
    await lab.start()
    assert await lab.work() == "parked"
    assert await lab.of(ev.RunSucceeded) == []
    await raise_to(lab, output_bytes=1000)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_sub_agents_count_and_may_not_be_nested_deeper(make_lab):
    inner = agent("found", name="finder")
    outer = agent([("look", {}, "l1")], "done")

    @outer.tool
    @effect.delegate
    async def look(ctx: RunContext[Any]) -> str:
        return str((await inner.run("go", usage=ctx.usage)).output)

    lab = await make_lab(outer, agents=[inner], limits=Limits(depth=0), on_limit="fail")
    await lab.start()
    assert await lab.work() == "finished"
    assert "nested agents" in await lab.failure()
    lab = await make_lab(outer, agents=[inner], limits=Limits(model_requests=3))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    story = await show_run(lab.services, WHO, lab.run)
    assert [(one.name, one.most, one.stood) for one in story.limits] == [("model_requests", 3, 3)]


async def test_limits_that_name_nothing_of_the_tasks_are_refused_at_registration(make_lab):
    for wrong in (Limits(calls={"stepp": 1}), Limits(writes={"dsk": 1}), Limits(amounts={"mved": 1})):
        with pytest.raises(UserError, match="which it does not have"):
            await make_lab(stepping([]), limits=wrong)


async def test_others_than_the_path_names_may_not_raise(make_lab):
    done: list[int] = []
    lab = await make_lab(
        stepping(done), limits=Limits(tool_calls=1), escalation=EscalationPath(to="user", on=["limit"])
    )
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    assert (task.kind, task.ask, task.tool) == ("escalation", "user", "tool_calls")
    other = admin(WHO.tenant, str(uuid4()))
    with pytest.raises(MayNotDecide):
        await decide_escalation(lab.services, other, task.id, "go_on", digest=task.digest, limits={"tool_calls": 9})
