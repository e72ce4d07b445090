"""Limits of a tenant: they hold for each of its runs, whatever task and request allow and people raise."""

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_limits import answering, raise_to, stepping
from tests.engine.test_seam_policy import pending

from holdfast import Limits, RunScope, effect
from holdfast.domain import events as ev
from holdfast.domain.errors import InvalidInput
from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.domain.rights import Role
from holdfast.service.decide_escalation import decide_escalation
from holdfast.service.show_run import show_run
from holdfast.service.tenant_limits import set_tenant_limits
from holdfast.store.ceilings import get_ceilings
from holdfast.store.principals import grant_role


async def cap(lab: Any, **limits: Any) -> None:
    """What an administrator of the tenant says that each of its runs may do at most."""
    await set_tenant_limits(lab.services, WHO, {name.replace("__", ":"): most for name, most in limits.items()})


async def go_on(lab: Any, **limits: Any) -> None:
    [task] = await pending(lab)
    await decide_escalation(lab.services, WHO, task.id, "go_on", digest=task.digest, limits=limits or None)


async def shown(lab: Any) -> list[Any]:
    story = await show_run(lab.services, WHO, lab.run)
    return [(one.name, one.most, one.stood, one.set_by) for one in story.limits]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_it_binds_though_task_and_request_allow_more_and_raised_the_run_goes_on_there(make_lab, stream):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=50), stream=stream)
    await cap(lab, tool_calls=2)
    await lab.start(limits={"tool_calls": 20, "steps": 100})
    assert await lab.work() == "parked"
    assert (done, lab.row()["waiting_on"]) == ([0, 1], "limit")
    assert await shown(lab) == [("tool_calls", 2, 2, "tenant"), ("steps", 100, 5, "run")]
    [task] = await pending(lab)
    assert task.why == (
        "The tenant's limit on tool calls is reached: 2 of 2, and a call of 'step' comes next. No run is raised above "
        "it; an administrator of the tenant raises it for all of them: `holdfast tenants limits set tool_calls=NUMBER`."
    )
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.most, escalated.stood, escalated.of_tenant) == ("tool_calls", 2, 2, True)

    with pytest.raises(InvalidInput, match=r"9 is above the tenant's limit on tool calls, which is 2\. .*limits set"):
        await go_on(lab, tool_calls=9)
    with pytest.raises(
        InvalidInput, match=r"The tenant's limit on tool calls is 2, and the next step needs 3\. No run"
    ):
        await go_on(lab)
    with pytest.raises(InvalidInput, match="the next step needs 3"):
        await go_on(lab, tool_calls=2)
    await cap(lab, tool_calls=3)
    await go_on(lab)
    assert await lab.work() == "parked"
    assert done == [0, 1, 2], "exactly there, and no further than the new one"
    await cap(lab)
    await go_on(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert done == [0, 1, 2, 3]
    assert await shown(lab) == [("tool_calls", 20, 4, "run"), ("steps", 100, 9, "run")]


async def test_it_bounds_a_run_that_nothing_else_bounds_and_a_fresh_tenant_has_none(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done))
    assert await get_ceilings(lab.api_db, DEFAULT_TENANT) == {}
    await lab.start()
    assert await lab.work() == "finished"
    assert (len(done), await shown(lab)) == (4, [])
    await cap(lab, calls__step=1)
    await lab.start()
    assert await lab.work() == "parked"
    assert (len(done), await shown(lab)) == (5, [("calls:step", 1, 1, "tenant")])


async def test_a_run_without_any_limit_counts_nothing(make_lab):
    lab = await make_lab(stepping([], 1))
    await lab.start()
    async with lab.worker() as execution:
        assert await execution.run() == "finished"
        assert execution._recorder.limiting is None


async def test_where_the_runs_own_stands_in_the_way_as_well_both_have_to_be_raised(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=1))
    await cap(lab, tool_calls=1)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    assert task.why.endswith("The run's own, 1, has to be raised, too.")
    await cap(lab, tool_calls=3)
    with pytest.raises(InvalidInput, match="Say to what it is raised"):
        await go_on(lab)
    await raise_to(lab, tool_calls=3)
    assert await lab.work() == "parked"
    assert done == [0, 1, 2]


async def test_a_decision_raises_no_other_limit_above_the_tenants(make_lab):
    lab = await make_lab(stepping([]), limits=Limits(tool_calls=1, steps=10))
    await cap(lab, steps=12)
    await lab.start()
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert not escalated.of_tenant
    with pytest.raises(InvalidInput, match=r"13 is above the tenant's limit on steps, which is 12\."):
        await raise_to(lab, tool_calls=9, steps=13)
    await raise_to(lab, tool_calls=9, steps=12)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_what_was_raised_before_does_not_lift_it_above_one_that_is_set_later(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=1))
    await lab.start()
    assert await lab.work() == "parked"
    await raise_to(lab, tool_calls=100)
    await cap(lab, tool_calls=2)
    assert await lab.work() == "parked"
    assert done == [0, 1]


async def test_reached_it_fails_the_run_where_its_task_has_it_so(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), on_limit="fail")
    await cap(lab, steps=3)
    await lab.start()
    assert await lab.work() == "finished"
    assert (lab.state, done) == ("failed", [0])
    assert "LimitReached: The tenant's limit on steps is reached: 3 of 3" in await lab.failure()
    assert "holdfast tenants limits set steps=NUMBER" in await lab.failure()


def changing(lab_of: Any, at: int, done: list[int], count: int = 4, **limits: Any) -> Any:
    """An agent whose call `at` sets the tenant's limits."""
    made = agent(*[[("step", {"i": i}, f"c{i}")] for i in range(count)], "done")

    @made.tool_plain
    @effect.once
    async def step(i: int) -> str:
        done.append(i)
        if i == at:
            await cap(lab_of(), **limits)
        return f"did {i}"

    return made


@pytest.mark.parametrize("task", [None, Limits(tool_calls=50)], ids=["unlimited", "limited"])
async def test_set_while_a_run_is_live_it_binds_its_next_step_and_counts_what_was_done(make_lab, task):
    done: list[int] = []
    lab: Any = None
    lab = await make_lab(changing(lambda: lab, 1, done, tool_calls=3), limits=task)
    await lab.start()
    assert await lab.work() == "parked"
    assert (done, lab.row()["waiting_on"]) == ([0, 1, 2], "limit")
    assert await lab.of(ev.EffectInDoubt) == [], "what was done is not in doubt for it"
    await cap(lab)
    await go_on(lab)
    assert await lab.work() == "finished"
    assert done == [0, 1, 2, 3]


async def test_raised_or_taken_away_while_a_run_is_live_it_goes_on(make_lab):
    for more in ({"tool_calls": 4}, {}):
        done: list[int] = []
        made: list[Any] = []
        lab = await make_lab(changing(made.pop, 1, done, **more))
        made.append(lab)
        await cap(lab, tool_calls=2)
        await lab.start()
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert done == [0, 1, 2, 3]


async def test_set_while_calls_are_under_way_cuts_none_of_them_off(make_lab):
    done: list[str] = []
    lab: Any = None
    made = agent([("slow", {}, "a"), ("quick", {}, "b")], [("quick", {}, "c")], "done")
    slow_goes_on = asyncio.Event()

    @made.tool_plain
    @effect.once
    async def slow() -> str:
        await slow_goes_on.wait()
        done.append("slow")
        return "slow"

    @made.tool_plain
    @effect.once
    async def quick() -> str:
        if not done:
            await cap(lab, tool_calls=2)
            slow_goes_on.set()
        done.append("quick")
        return "quick"

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "parked"
    assert (sorted(done), lab.row()["waiting_on"]) == (["quick", "slow"], "limit")
    assert await lab.of(ev.EffectInDoubt) == []


@pytest.mark.parametrize(("limits", "begun"), [({"tool_calls": 9}, 1), ({"tool_calls": 8}, 2)], ids=["same", "other"])
async def test_it_begins_anew_only_where_the_limits_are_others(make_lab, limits, begun):
    made, scopes = agent([("act", {}, "a")], [("act", {}, "b")], "done", deps_type=RunScope), list[RunScope]()
    lab: Any = None

    @made.tool_plain
    @effect.once
    async def act() -> str:
        await cap(lab, **limits)
        await grant_role(lab.api_db, DEFAULT_TENANT, LOCAL_PRINCIPAL, Role.AUDITOR, by="me")
        return "acted"

    def deps(scope: RunScope) -> RunScope:
        scopes.append(scope)
        return scope

    lab = await make_lab(made, deps=deps)
    await cap(lab, tool_calls=9)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(scopes) == begun
    assert Role.AUDITOR in scopes[-1].principal.roles, "what it looked at anew it knows"


async def test_it_holds_after_a_kill_on_another_worker(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done), limits=Limits(tool_calls=50))
    await cap(lab, tool_calls=3)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before", 2)), Died)
    assert await lab.work() == "parked"
    assert sorted(set(done)) == [0, 1, 2]
    assert [one.limit for one in await lab.of(ev.Escalated)] == ["tool_calls"]


async def test_set_between_a_claim_and_its_first_step_it_binds(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done))
    await lab.start()
    async with lab.worker() as execution:
        await cap(lab, model_requests=0)
        assert await execution.run() == "parked"
    assert done == []
    assert await lab.of(ev.ModelRequested) == []


async def test_writes_to_a_system_count_from_the_beginning_though_nothing_limited_them_then(make_lab):
    done: list[int] = []
    lab: Any = None

    def probe(point: str) -> None:
        if point == "outcome.before" and len(done) == 2:
            raise Died(point)

    lab = await make_lab(stepping(done))
    await lab.start()
    assert isinstance(await lab.work(probe=probe), Died)
    await cap(lab, writes__desk=3)
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.stood) == ("writes:desk", 3)
    assert len(await lab.of(ev.ToolStarted)) == 4, "three calls, one of them begun again"


async def test_amounts_add_up_where_only_the_tenant_limits_them(make_lab):
    done: list[int] = []
    lab = await make_lab(stepping(done))
    await cap(lab, amount__moved="29.99")
    await lab.start()
    assert await lab.work() == "parked"
    assert done == [0, 1]
    assert await shown(lab) == [("amount:moved", 299_900, 200_000, "tenant")]


async def test_a_request_is_told_what_the_tenants_tokens_leave(make_lab):
    asked: list[Any] = []
    lab = await make_lab(Agent(answering((50, 10), asked=asked)), stream=False)
    await cap(lab, output_tokens=500)
    await lab.start()
    assert await lab.work() == "finished"
    assert asked == [500]


async def test_tokens_that_are_limited_while_a_run_is_live_bound_its_next_request(make_lab):
    lab: Any = None
    lab = await make_lab(changing(lambda: lab, 0, [], 1, input_tokens=10), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    [escalated] = await lab.of(ev.Escalated)
    assert (escalated.limit, escalated.of_tenant) == ("input_tokens", True)
    assert len(await lab.of(ev.ModelRequested)) == 1


async def test_an_output_that_the_tenant_finds_too_large_is_no_success(make_lab):
    lab = await make_lab(agent("a long answer, longer than allowed"))
    await cap(lab, output_bytes=10)
    await lab.start()
    assert await lab.work() == "parked"
    await cap(lab, output_bytes=1000)
    await go_on(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
