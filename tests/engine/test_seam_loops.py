"""A run that goes round in circles: its model is told once, then it stops before the next call, on every road."""

import itertools
from typing import Any

import pytest
from pydantic_ai import ModelRetry, RunContext
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import ToolFailed
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_policy import agree, governed, pending, told
from tests.engine.test_seam_trouble import say

from holdfast import EscalationPath, Limits, Loops, UserError, effect
from holdfast import governed as governs
from holdfast.domain import events as ev
from holdfast.domain.verdict import Ask
from holdfast.service.decide_approval import decide_approval
from holdfast.service.read_events import read_events
from holdfast.service.show_run import show_run

THRICE = Loops(same_call=3, same_error=3, cycle=3, no_progress=6)
SAID = (
    "This call was not made: 'look' was called with the same arguments 3 times in a row and gave the same result each "
    "time. You have all that they gave: use it, do something else, or say that you cannot go on. If you go on like "
    "this, the run is stopped."
)
AGAIN = [("look", {"i": 1}, "l")]


def looking(done: list[int], *script: Any, seen: Any = None, mark: Any = effect.idempotent, **options: Any) -> Any:
    made = agent(*(script or (AGAIN,)), seen=seen, **options)

    @made.tool_plain
    @mark
    async def look(i: int) -> str:
        done.append(i)
        return "nothing yet"

    return made


ROADS = pytest.mark.parametrize("options", [{}, {"capabilities": [Hooks()]}], ids=["short", "pair"])


@ROADS
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_it_is_told_once_then_it_waits_for_people_and_goes_on_with_a_fresh_allowance(make_lab, options, stream):
    done: list[int] = []
    seen: list[Any] = []
    lab = await make_lab(looking(done, seen=seen, **options), loops=THRICE, stream=stream)
    await lab.start()
    assert await lab.work() == "parked"
    assert (done, lab.row()["waiting_on"]) == ([1] * 3, "escalation")
    assert len(await lab.of(ev.ToolStarted)) == 3
    [detected] = await lab.of(ev.LoopDetected)
    assert (detected.kind, detected.tool, detected.times, detected.step) == ("same_call", "look", 3, 4)
    assert await lab.content(detected.why) == SAID
    assert await lab.content(detected.args) == {"i": 1}
    assert told(seen)[-2:] == [("success", "nothing yet"), ("failed", SAID)]
    [task] = await pending(lab)
    assert (task.kind, task.ask, task.tool) == ("escalation", "admin", "")
    assert "'look' was called with the same arguments 3 times in a row" in task.why
    assert task.args.value["loop"] == {"kind": "same_call", "tool": "look", "times": 3, "round": []}
    assert await lab.work_again() == [], "nothing wakes it by itself"
    await say(lab, "go_on")
    assert await lab.work() == "parked"
    assert done == [1] * 6
    assert [one.step for one in await lab.of(ev.LoopDetected)] == [4, 8]
    [again] = await pending(lab)
    assert again.round == 2


@ROADS
async def test_it_fails_where_its_task_says_so(make_lab, options):
    done: list[int] = []
    lab = await make_lab(looking(done, **options), loops=THRICE, on_limit="fail", escalation=EscalationPath())
    await lab.start()
    assert await lab.work() == "finished"
    assert (lab.state, done) == ("failed", [1] * 3)
    assert "LoopDetected: The run is in a loop: 'look' was called" in await lab.failure()


@ROADS
async def test_who_heeds_what_it_is_told_comes_to_its_end(make_lab, options):
    done: list[int] = []
    lab = await make_lab(looking(done, *[AGAIN] * 4, "as far as I can see", **options), loops=THRICE)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert done == [1] * 3


@ROADS
@pytest.mark.parametrize(
    "point", ["intent.before", "intent.after", "tool.entering", "outcome.before", "outcome.after", "model.answered"]
)
async def test_killed_anywhere_it_comes_out_the_same(make_lab, options, point):
    for nth in itertools.count(1):
        seen: list[Any] = []
        lab = await make_lab(looking([], seen=seen, **options), loops=THRICE)
        await lab.start()
        died = await lab.work(probe=die_at(point, nth))
        if isinstance(died, Died):
            assert await lab.work() == "parked"
        assert [(one.step, one.call) for one in await lab.of(ev.LoopDetected)] == [(4, "l")]
        finished = [one.step for one in await lab.of(ev.ToolFinished)]
        assert finished == [1, 2, 3, 4]
        assert {one.step for one in await lab.of(ev.ToolStarted)} == {1, 2, 3}
        [escalated] = await lab.of(ev.Escalated)
        assert (escalated.trouble, escalated.loop, escalated.stood) == ("loop", "same_call", 3)
        assert told(seen)[-1] == ("failed", SAID)
        if not isinstance(died, Died):
            assert nth > 3
            break


async def test_what_people_said_holds_though_the_worker_dies_on_it(make_lab):
    done: list[int] = []
    lab = await make_lab(looking(done), loops=THRICE)
    await lab.start()
    assert await lab.work() == "parked"
    await say(lab, "go_on")
    assert isinstance(await lab.work(probe=die_at("outcome.before", 2)), Died)
    assert await lab.work() == "parked"
    assert [one.step for one in await lab.of(ev.LoopDetected)] == [4, 8]
    assert len(await lab.of(ev.Escalated)) == 2


@ROADS
async def test_calls_side_by_side_are_told_together_and_what_is_new_is_made(make_lab, options):
    done: list[int] = []
    twice = [("look", {"i": 1}, "a"), ("look", {"i": 1}, "b")]
    script = [twice, twice, twice, [*twice, ("look", {"i": 2}, "c")], twice, "done"]
    lab = await make_lab(looking(done, *script, **options), loops=THRICE)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert sorted(done) == [1] * 8 + [2]
    assert {(one.step, one.call) for one in await lab.of(ev.LoopDetected)} == {(4, "a"), (4, "b")}


async def test_siblings_of_the_call_that_stops_it_end_first(make_lab):
    done: list[int] = []
    beside = [("look", {"i": 7}, "s"), *AGAIN]
    lab = await make_lab(looking(done, *[AGAIN] * 4, beside, "done"), loops=THRICE)
    await lab.start()
    assert await lab.work() == "parked"
    await say(lab, "go_on")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert sorted(done) == [1] * 4 + [7], "the new one once, the one that was stopped now"


@ROADS
@pytest.mark.parametrize("error", [ModelRetry("no such table"), ToolFailed("no such table")], ids=["retry", "failed"])
async def test_the_same_error_whatever_the_arguments(make_lab, options, error):
    done: list[int] = []
    made = agent(*[[("query", {"i": i}, f"q{i}")] for i in range(9)], retries=50, **options)

    @made.tool_plain
    @effect.pure
    async def query(i: int) -> str:
        done.append(i)
        raise error

    lab = await make_lab(made, loops=THRICE)
    await lab.start()
    assert await lab.work() == "parked"
    assert done == [0, 1, 2, 4]
    [detected] = await lab.of(ev.LoopDetected)
    assert (detected.kind, detected.times) == ("same_error", 3)


async def test_calls_that_do_not_fit_in_between_hide_no_loop(make_lab):
    """The framework refuses these, and bounds them by itself: nothing of them is journaled."""
    done: list[int] = []
    script = [AGAIN, [("look", {"i": "no number"}, "x")]] * 9
    lab = await make_lab(looking(done, *script, retries=5), loops=THRICE)
    await lab.start()
    assert await lab.work() == "parked"
    assert done == [1] * 3
    [detected] = await lab.of(ev.LoopDetected)
    assert detected.kind == "same_call"


async def test_a_cycle_of_calls(make_lab):
    done: list[int] = []
    round_ = [[("look", {"i": 1}, "a")], [("look", {"i": 2}, "b")]]
    lab = await make_lab(looking(done, *round_ * 9), loops=THRICE)
    await lab.start()
    assert await lab.work() == "parked"
    assert done == [1, 2] * 3
    [detected] = await lab.of(ev.LoopDetected)
    assert (detected.kind, detected.times, detected.round) == ("cycle", 3, ["look", "look"])


async def test_honest_polling_is_no_loop(make_lab):
    polls: list[int] = []
    made = agent(*[[("poll", {}, "p")]] * 20, *[[("ready", {}, "r")]] * 20, *[[("status", {}, "s")]] * 20, "done")

    @made.tool_plain
    @effect.pure
    async def poll() -> int:
        polls.append(1)
        return len(polls)

    @made.tool_plain
    @effect.pure
    @governs(repeats=True)
    async def ready() -> bool:
        return False

    @made.tool_plain
    @effect.pure
    async def status() -> str:
        return "pending"

    lab = await make_lab(made, loops=Loops(exempt={"status"}), limits=Limits(steps=500))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert lab.app["task"].loops == Loops(exempt={"status", "ready"})


async def test_off_nothing_is_found(make_lab):
    done: list[int] = []
    lab = await make_lab(looking(done, *[AGAIN] * 30, "done"), loops=None)
    await lab.start()
    assert await lab.work() == "finished"
    assert len(done) == 30


async def test_it_is_on_by_default(make_lab):
    done: list[int] = []
    lab = await make_lab(looking(done))
    await lab.start()
    assert await lab.work() == "parked"
    assert len(done) == 5


# --- sub-agents ----------------------------------------------------------------------------------------------------


def family(done: list[int], *script: Any, **inner_options: Any) -> tuple[Any, Any]:
    inner = looking(done, *(script or (AGAIN,)), name="inner", **inner_options)
    outer = agent([("ask", {}, "o1")], "outer done")

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any]) -> str:
        return (await inner.run("sub", usage=ctx.usage)).output

    return outer, inner


@pytest.mark.parametrize("point", ["none", "outcome.before", "intent.after"])
async def test_a_sub_agent_that_loops_is_told_and_stops_the_run(make_lab, point):
    done: list[int] = []
    outer, inner = family(done)
    lab = await make_lab(outer, agents=[inner], loops=THRICE)
    await lab.start()
    if point != "none":
        assert isinstance(await lab.work(probe=die_at(point, 4)), Died)
    assert await lab.work() == "parked"
    assert {one.scope for one in await lab.of(ev.LoopDetected)} == {"1:o1>inner#1/"}
    assert {one.step for one in await lab.of(ev.ToolStarted) if one.tool == "look"} == {1, 2, 3}
    await say(lab, "go_on")
    assert await lab.work() == "parked"
    assert [one.step for one in await lab.of(ev.LoopDetected)] == [4, 8]


# --- people --------------------------------------------------------------------------------------------------------


async def reject(lab: Any) -> None:
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "rejected", digest=task.digest)


def always(tool: str, *_: Any) -> Ask | None:
    return Ask() if tool == "look" else None


async def test_people_are_not_asked_again_about_a_call_that_is_a_loop(make_lab):
    done: list[int] = []
    lab, _ = await governed(make_lab, looking(done), always, loops=THRICE)
    for _ in range(3):
        assert await lab.work() == "parked"
        await reject(lab)
    assert await lab.work() == "parked"
    assert (done, len(await lab.of(ev.ApprovalAsked)), len(await lab.of(ev.LoopDetected))) == ([], 3, 1)
    assert lab.row()["waiting_on"] == "escalation"


async def test_what_they_agree_to_is_made(make_lab):
    done: list[int] = []
    lab, _ = await governed(make_lab, looking(done, *[AGAIN] * 4, "done"), always, loops=THRICE)
    for _ in range(3):
        assert await lab.work() == "parked"
        await agree(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert (len(done), len(await lab.of(ev.LoopDetected))) == (3, 1)


@pytest.mark.parametrize("where", ["agent", "sub-agent"])
@pytest.mark.parametrize("point", ["none", "intent.before", "intent.after"])
async def test_nor_about_a_tool_that_always_needs_approval(make_lab, where, point):
    def gated(*script: Any, **options: Any) -> Any:
        made = agent(*script, **options)

        @made.tool_plain(requires_approval=True)
        @effect.once
        def pay(amount: int, note: str = "") -> str:
            raise AssertionError(amount)

        return made

    paying = [("pay", {"amount": 5}, "p")]
    if where == "agent":
        lab = await make_lab(gated(paying), loops=THRICE)
    else:
        inner = gated(paying, name="inner")
        outer = agent([("ask", {}, "o1")], "outer done")

        @outer.tool
        @effect.delegate
        async def ask(ctx: RunContext[Any]) -> str:
            return (await inner.run("sub", usage=ctx.usage)).output

        lab = await make_lab(outer, agents=[inner], loops=THRICE)
    await lab.start()
    for _ in range(3):
        assert await lab.work() == "parked"
        await reject(lab)
    if point != "none":
        assert isinstance(await lab.work(probe=die_at(point, 2)), Died)
    assert await lab.work() == "parked"
    assert len(await lab.of(ev.ApprovalAsked)) == 3
    assert [one.step for one in await lab.of(ev.LoopDetected)] == [4]
    assert lab.row()["waiting_on"] == "escalation"
    await say(lab, "go_on")
    assert await lab.work() == "parked"
    assert (len(await lab.of(ev.ApprovalAsked)), lab.row()["waiting_on"]) == (4, "approval")


async def test_whom_the_path_names_may_let_it_go_on_or_end_it(make_lab):
    lab = await make_lab(looking([]), loops=THRICE, escalation=EscalationPath(to="user", on=["loop"]))
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    assert task.ask == "user"
    await say(lab, "finish", output="looked long enough")
    assert await lab.work() == "finished"
    assert await lab.output() == "looked long enough"


async def test_the_story_and_the_events_tell_it(make_lab):
    lab = await make_lab(looking([]), loops=THRICE)
    await lab.start()
    assert await lab.work() == "parked"
    await say(lab, "go_on")
    assert await lab.work() == "parked"
    story = await show_run(lab.services, WHO, lab.run)
    loops = [step for step in story.steps if step.kind == "loop"]
    assert [(step.title, step.outcome, step.why) for step in loops] == [
        ("was told of a loop: did not call look", "told", "the same call 3 times in a row")
    ] * 2
    assert loops[0].content["why"].value == SAID
    first, _ = [step for step in story.steps if step.kind == "escalation"]
    assert (first.title, first.outcome) == ("went on with a loop: the same call 3 times in a row", "goes on")
    page = await read_events(lab.services, WHO, lab.run)
    [event, _] = [one for one in page.items if one.type == "loop_detected"]
    assert (event.data["kind"], event.data["times"], event.content["why"].value) == ("same_call", 3, SAID)


async def test_a_tool_that_there_is_not_cannot_be_exempt(make_lab):
    with pytest.raises(UserError, match=r"loops exempt 'loook', which it has no tool for\. There is: look"):
        await make_lab(looking([]), loops=Loops(exempt={"loook"}))


# --- thresholds that were tightened meanwhile ----------------------------------------------------------------------

LOOSE = Loops(same_call=50, same_error=50, cycle=50, no_progress=50)


async def test_a_call_that_people_agreed_to_is_made(make_lab):
    done: list[int] = []
    made = looking(done, *[AGAIN] * 4, "done")
    tight = (await make_lab(made, loops=THRICE)).app
    lab, _ = await governed(make_lab, made, always, loops=LOOSE)
    for _ in range(4):
        assert await lab.work() == "parked"
        await agree(lab)
    assert await lab.work(app=tight) == "finished"
    await lab.expect("succeeded")
    assert (len(done), await lab.of(ev.LoopDetected)) == (4, [])


async def test_a_call_that_had_begun_is_made_again(make_lab):
    done: list[int] = []
    made = looking(done, *[AGAIN] * 4, "done")
    tight = (await make_lab(made, loops=THRICE)).app
    lab = await make_lab(made, loops=LOOSE)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before", 4)), Died)
    assert await lab.work(app=tight) == "finished"
    await lab.expect("succeeded")
    assert (len(done), await lab.of(ev.LoopDetected)) == (5, [])


async def test_from_the_next_call_on_the_new_ones_count(make_lab):
    done: list[int] = []
    made = looking(done)
    tight = (await make_lab(made, loops=THRICE)).app
    lab = await make_lab(made, loops=LOOSE)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.after", 8)), Died)
    assert await lab.work(app=tight) == "parked"
    assert (len(done), [one.times for one in await lab.of(ev.LoopDetected)]) == (8, [8])
