"""A call is handed out once, whatever comes between its commit and whoever waits for that."""

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from tests.engine.agents import agent
from tests.engine.test_seam_questions import answered, outside, returned, waiting

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.errors import BoundWanted
from holdfast.engine.recorder import Recorder


@pytest.fixture
def at_the_commit(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """What comes once `before` the commit of a call that is handed out, or `after` it."""
    intend, comes = Recorder.intend, dict[str, BaseException]()

    async def disturbed(self: Recorder, intent: Any, rows: Any = ()) -> int:
        if isinstance(intent, ev.CallHandedOut) and "before" in comes:
            raise comes.pop("before")
        seq = await intend(self, intent, rows)
        if isinstance(intent, ev.CallHandedOut) and "after" in comes:
            raise comes.pop("after")
        return seq

    monkeypatch.setattr(Recorder, "intend", disturbed)
    return comes


async def test_a_request_beside_it_that_has_to_say_its_bound_first_is_no_reason_to_fail(make_lab, at_the_commit):
    """As where both stand in one commit, and the worker has not heard yet that the tenant has budgets."""
    seen: list[Any] = []
    lab = await make_lab(outside(seen=seen), stream=False)
    at_the_commit["before"] = BoundWanted(lab.run, "Say first what it may use.")
    await lab.start()
    assert await lab.work() == "parked"
    assert (await waiting(lab))["question"].args.value == {"where": "Ulm"}
    await answered(lab, "mild")
    assert await lab.work() == "finished"
    assert returned(seen) == {"m1": ("success", "mild")}
    assert len(await lab.of(ev.CallHandedOut)) == 1


async def test_an_answer_is_kept_though_who_asked_was_cut_off_after_the_commit(make_lab, at_the_commit):
    """By a time limit around an inner run, say: the run itself goes on, and folds its inbox in."""
    inner: Agent[Any, Any] = outside(name="inner")
    outer = agent([("delegate", {}, "d1")], "all done")
    cut_off, may_end = asyncio.Event(), asyncio.Event()

    @outer.tool
    @effect.delegate
    async def delegate(ctx: RunContext[Any]) -> str:
        try:
            return (await inner.run("inner hi", usage=ctx.usage)).output
        except asyncio.CancelledError:
            cut_off.set()
            await may_end.wait()
            return "nobody knows"

    lab = await make_lab(outer, agents=[inner], stream=False)
    await lab.start()
    at_the_commit["after"] = asyncio.CancelledError()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await cut_off.wait()
        await answered(lab, "mild")
        execution.notice()
        may_end.set()
        assert await running == "finished"
    await lab.expect("succeeded")
    assert len(await lab.of(ev.CallHandedOut)) == 1
    assert len(await lab.of(ev.QuestionAnswered)) == 1
