"""Calls that are made outside count as those made here: under limits, in sums for policies, in the run's counters."""

from typing import Any

import psycopg
import pytest
from pydantic_ai import RunContext
from pydantic_ai.exceptions import CallDeferred
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_halts import halt, lift
from tests.engine.test_seam_policy import Rules
from tests.engine.test_seam_questions import answered, outside, returned, waiting
from tests.engine.test_seam_tallies import daily, sums

from holdfast import Limits, effect
from holdfast.domain import events as ev
from holdfast.domain.halts import HaltScope
from holdfast.service.decide_escalation import decide_escalation

TWICE = ([("measure", {"where": "Ulm"}, "m1")], [("measure", {"where": "Bonn"}, "m2")], "done")
BESIDE = ([("measure", {"where": "Ulm"}, "m1"), ("measure", {"where": "Bonn"}, "m2")], "done")


async def raised_to(lab: Any, **limits: Any) -> None:
    task = (await waiting(lab))["escalation"]
    named = {name.replace("__", ":"): most for name, most in limits.items()}
    await decide_escalation(lab.services, WHO, task.id, "go_on", digest=task.digest, limits=named)


def counters(lab: Any) -> tuple[int, int]:
    return lab.row()["steps"], lab.row()["tool_calls"]


@pytest.mark.parametrize(
    ("name", "limits", "more"),
    [
        ("tool_calls", Limits(tool_calls=1), {"tool_calls": 5}),
        ("calls:measure", Limits(calls={"measure": 1}), {"calls__measure": 5}),
        ("steps", Limits(steps=3), {"steps": 50}),
        ("side_effects", Limits(side_effects=1), {"side_effects": 5}),
        ("writes:measure", Limits(writes={"measure": 1}), {"writes__measure": 5}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_a_limit_stops_a_call_before_it_is_asked_of_anybody(make_lab, name, limits, more):
    seen: list[Any] = []
    lab = await make_lab(outside(script=TWICE, seen=seen), limits=limits, stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    await answered(lab, "mild")
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "limit"
    assert "question" not in await waiting(lab)
    [escalated] = await lab.of(ev.Escalated)
    assert escalated.limit == name
    await raised_to(lab, **more)
    assert await lab.work() == "parked"
    assert (await waiting(lab))["question"].args.value == {"where": "Bonn"}
    await answered(lab, "cold")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen)["m2"] == ("success", "cold")
    assert len(await lab.of(ev.CallHandedOut)) == 2
    assert counters(lab) == (5, 2)


async def test_whoever_decides_on_a_run_in_trouble_sees_what_was_done_outside(make_lab):
    lab = await make_lab(outside(script=TWICE), limits=Limits(tool_calls=1), stream=False)
    await lab.start()
    await lab.work()
    await answered(lab, "mild")
    assert await lab.work() == "parked"
    shown = (await waiting(lab))["escalation"].args.value
    assert shown["effects"] == [{"tool": "measure", "call": "m1", "came_to": "answered"}]


async def test_of_two_at_once_the_second_is_stopped_and_the_first_is_asked_once(make_lab):
    seen: list[Any] = []
    lab = await make_lab(outside(script=BESIDE, seen=seen), limits=Limits(fan_out=1), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "limit"
    await raised_to(lab, fan_out=2)
    assert await lab.work() == "parked"
    for _ in range(2):
        await answered(lab, "mild")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"m1": ("success", "mild"), "m2": ("success", "mild")}
    assert len(await lab.of(ev.CallHandedOut)) == 2


@pytest.mark.parametrize("point", ["intent.before", "intent.after", "model.sending"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_wherever_its_worker_dies_it_counts_once(make_lab, point, nth):
    lab = await make_lab(outside(), limits=Limits(tool_calls=1), stream=False)
    await lab.start()
    await lab.work(probe=die_at(point, nth))
    if lab.state != "parked":
        assert await lab.work() == "parked"
    await answered(lab, "mild")
    assert isinstance(await lab.work(probe=die_at("model.sending")), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(await lab.of(ev.CallHandedOut)) == 1
    assert lab.row()["tool_calls"] == 1


async def test_a_tool_that_was_entered_and_then_asks_counts_once(make_lab):
    made = agent([("ask", {}, "q1")], "done")

    @made.tool_plain
    @effect.once
    def ask() -> str:
        raise CallDeferred

    lab = await make_lab(made, limits=Limits(tool_calls=1, steps=3), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "question"
    await answered(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert await lab.of(ev.CallHandedOut) == []
    assert counters(lab) == (3, 1)


async def test_what_a_sub_agent_has_done_outside_counts_too(make_lab):
    toolset = ExternalToolset([ToolDefinition(name="measure", parameters_json_schema={"type": "object"})])
    inner = agent(*BESIDE, name="inner", toolsets=[toolset])
    outer = agent([("delegate", {}, "d1")], "all done")

    @outer.tool
    @effect.delegate
    async def delegate(ctx: RunContext[Any]) -> str:
        return (await inner.run("go")).output

    lab = await make_lab(outer, agents=[inner], limits=Limits(calls={"measure": 1}), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "limit"
    assert len(await lab.of(ev.CallHandedOut)) == 1
    await raised_to(lab, calls__measure=2)
    assert await lab.work() == "parked"
    for _ in range(2):
        await answered(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(await lab.of(ev.CallHandedOut)) == 2


def paying_outside(amount: int, **options: Any) -> Any:
    toolset = ExternalToolset([ToolDefinition(name="pay", parameters_json_schema={"type": "object"})])
    return agent([("pay", {"amount": amount}, "p1")], "done", toolsets=[toolset], **options)


async def test_what_is_paid_outside_counts_in_the_sums_that_policy_looks_at(make_lab):
    seen: list[Any] = []
    lab = await make_lab(paying_outside(300, seen=seen), stream=False)
    lab.governor.policy = Rules(daily(500), counted=("paid",))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 2)), Died)
    assert await lab.work() == "parked"
    await answered(lab, "paid")
    assert await lab.work() == "finished"
    assert sums(lab) == [("paid", 3_000_000)]

    await lab.start()
    assert await lab.work() == "finished"
    assert returned(seen) == {"p1": ("failed", "Refused by policy: more than 500 a day")}
    assert sums(lab) == [("paid", 3_000_000)]


async def test_one_that_was_decided_on_a_sum_that_is_another_by_now_is_decided_on_anew(make_lab):
    seen: list[Any] = []
    lab = await make_lab(paying_outside(200, seen=seen), stream=False)
    rules = lab.governor.policy = Rules(daily(500), counted=("paid",))
    await lab.start()
    assert await lab.work() == "parked"
    await lab.start()
    looked = len(rules.seen)

    def somebody_else_pays(point: str) -> None:
        if point == "intent.before" and len(rules.seen) > looked:
            with psycopg.connect(lab.admin_url) as connection:
                connection.execute("update holdfast.tallies set amount = 4000000")

    assert await lab.work(probe=somebody_else_pays) == "finished"
    assert returned(seen) == {"p1": ("failed", "Refused by policy: more than 500 a day")}
    assert len(await waiting(lab)) == 1, "that of the first run"
    assert sums(lab) == [("paid", 4_000_000)]


async def test_a_halt_that_comes_in_between_refuses_it_in_its_commit(make_lab):
    lab = await make_lab(outside(), stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after")), Died)
    halted = await halt(lab, HaltScope.TOOL, "measure")
    assert await lab.work() == "parked"
    assert (lab.row()["waiting_on"], await lab.of(ev.CallHandedOut), await waiting(lab)) == ("halt", [], {})
    await lift(lab, halted)
    assert await lab.work() == "parked"
    assert len(await waiting(lab)) == len(await lab.of(ev.CallHandedOut)) == 1
