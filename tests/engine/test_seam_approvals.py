"""A call that needs a person parks the run as rows; the decision wakes it, and binds exactly what was shown."""

import asyncio
from typing import Any

import psycopg
import pytest
from pydantic_ai import ApprovalRequired, RunContext
from pydantic_ai.messages import ModelRequest, ToolReturnPart
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Died, die_at, eventually

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.decide_approval import DigestMismatch, decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide


def gated(ledger: list[Any], *script: Any, seen: Any = None, **options: Any) -> Any:
    made = agent(*(script or ([("pay", {"amount": 500}, "p1")], "done")), seen=seen, **options)

    @made.tool_plain(requires_approval=True)
    def pay(amount: int, note: str = "none") -> str:
        ledger.append((effect.key(), amount, note))
        return f"paid {amount}"

    return made


async def pending(lab: Any) -> list[Any]:
    return list((await list_tasks_to_decide(lab.services, WHO)).items)


async def test_requires_approval_parks_and_an_approval_resumes_exactly_there(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(gated(ledger))
    await lab.start()
    assert await lab.work() == "parked"
    assert (lab.row()["state"], lab.row()["waiting_on"], lab.row()["worker"]) == ("parked", "approval", None)
    [task] = await pending(lab)
    assert task.tool == "pay"
    assert ledger == []
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert [(amount, note) for _, amount, note in ledger] == [(500, "none")]


async def test_edited_arguments_are_what_runs(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(gated(ledger))
    await lab.start()
    await lab.work()
    [task] = await pending(lab)
    await decide_approval(
        lab.services, WHO, task.id, "approved", digest=task.digest, args={"note": "half", "amount": 250}
    )
    assert await lab.work() == "finished"
    assert [(amount, note) for _, amount, note in ledger] == [(250, "half")]


async def test_a_rejection_tells_the_model_why(make_lab):
    ledger: list[Any] = []
    seen: list[Any] = []
    lab = await make_lab(gated(ledger, seen=seen), stream=False)
    await lab.start()
    await lab.work()
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "rejected", digest=task.digest, reason="not without a receipt")
    assert await lab.work() == "finished"
    assert ledger == []
    [part] = [
        part
        for message in seen[-1]
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    assert (part.outcome, part.content) == ("denied", "not without a receipt")


async def test_a_decision_about_other_arguments_is_refused(make_lab):
    lab = await make_lab(gated([]))
    await lab.start()
    await lab.work()
    [task] = await pending(lab)
    with pytest.raises(DigestMismatch):
        await decide_approval(lab.services, WHO, task.id, "approved", digest="0" * 64)
    assert lab.state == "parked"


@pytest.mark.parametrize("point", ["intent.before", "intent.after", "tool.entering", "outcome.before", "outcome.after"])
async def test_killed_between_approval_and_effect_the_approval_is_neither_lost_nor_used_twice(make_lab, point):
    ledger: list[Any] = []
    made = agent([("pay", {"amount": 500}, "p1")], "done")

    @made.tool_plain(requires_approval=True)
    @effect.idempotent
    def pay(amount: int) -> str:
        ledger.append(effect.key())
        return "paid"

    lab = await make_lab(made)
    await lab.start()
    await lab.work()
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert isinstance(await lab.work(probe=die_at(point)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(set(ledger)) == 1
    assert len([event for event in await lab.of(ev.ToolFinished) if event.approved]) == 1
    assert len(await lab.of(ev.ApprovalAsked)) == 1


async def test_allowed_siblings_run_and_are_recorded_before_the_run_parks(make_lab):
    ledger: list[Any] = []
    made = gated(ledger, [("pay", {"amount": 1}, "p1"), ("look", {}, "l1"), ("look", {}, "l2")], "done")
    looked: list[str] = []

    @made.tool_plain
    @effect.once
    async def look() -> str:
        looked.append("look")
        return "seen"

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "parked"
    assert looked == ["look", "look"]
    assert {event.call for event in await lab.of(ev.ToolFinished)} == {"l1", "l2"}
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    assert looked == ["look", "look"]
    assert len(ledger) == 1


async def test_the_batch_waits_until_every_call_is_decided(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(gated(ledger, [("pay", {"amount": 1}, "p1"), ("pay", {"amount": 2}, "p2")], "done"))
    await lab.start()
    assert await lab.work() == "parked"
    first, second = await pending(lab)
    await decide_approval(lab.services, WHO, first.id, "approved", digest=first.digest)
    assert await lab.work() == "parked"
    parked = (await lab.of(ev.RunParked))[-1]
    assert parked.why == "1 to decide, 1 decided"
    assert ledger == []
    await decide_approval(lab.services, WHO, second.id, "approved", digest=second.digest)
    assert await lab.work() == "finished"
    assert sorted(amount for _, amount, _ in ledger) == [1, 2]


async def test_a_tool_that_asks_while_it_runs_asks_once_and_runs_once_approved(make_lab):
    ran: list[tuple[int, bool]] = []
    made = agent([("pay", {"amount": 900}, "p1")], "done")

    @made.tool
    @effect.once
    async def pay(ctx: RunContext[None], amount: int) -> str:
        ran.append((amount, ctx.tool_call_approved))
        if amount > 100 and not ctx.tool_call_approved:
            raise ApprovalRequired(metadata={"why": "more than 100"})
        return "paid"

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    assert ran == [(900, False), (900, True)]
    assert [event.outcome for event in await lab.of(ev.ToolFinished)] == ["deferred", "value"]


async def test_a_question_reaches_the_inbox_while_siblings_still_run_and_an_early_decision_counts(make_lab):
    slow_may_end = asyncio.Event()
    made = agent([("pay", {"amount": 900}, "p1"), ("slow", {}, "s1")], "done")
    paid: list[int] = []

    @made.tool
    @effect.once
    async def pay(ctx: RunContext[None], amount: int) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        paid.append(amount)
        return "paid"

    @made.tool_plain
    @effect.once
    async def slow() -> str:
        await slow_may_end.wait()
        return "slow"

    lab = await make_lab(made)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        async with asyncio.timeout(30):
            while not (tasks := await pending(lab)):
                await asyncio.sleep(0.01)
        await decide_approval(lab.services, WHO, tasks[0].id, "approved", digest=tasks[0].digest)
        execution.notice()
        async with asyncio.timeout(30):
            while not await lab.of(ev.ApprovalDecided):
                await asyncio.sleep(0.01)
        slow_may_end.set()
        # It never parks: the decision was there before the batch was complete.
        assert await running == "finished"
    await lab.expect("succeeded")
    assert paid == [900]
    assert await lab.of(ev.RunParked) == []


async def test_a_decision_that_arrives_while_the_run_parks_is_not_lost(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(gated(ledger))
    await lab.start()
    decided: list[Any] = []

    async with lab.worker() as execution:
        real_end = execution._wait

        async def wait_after_decision(recorder: Any, *args: Any) -> Any:
            if not decided:
                [task] = await pending(lab)
                decided.append(task)
                await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
            return await real_end(recorder, *args)

        execution._wait = wait_after_decision
        assert await execution.run() == "finished"
    await lab.expect("succeeded")
    assert len(ledger) == 1


async def test_denied_then_approved_calls_in_one_run(make_lab):
    ledger: list[Any] = []
    made = gated(ledger)
    made.model = scripted([("pay", {"amount": 1}, "p1")], [("pay", {"amount": 2}, "p2")], "done")
    lab = await make_lab(made)
    await lab.start()
    await lab.work()
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "rejected", digest=task.digest, reason="no")
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    assert [amount for _, amount, _ in ledger] == [2]
    await eventually(lambda: lab.state == "succeeded")


async def test_a_decision_that_is_quicker_than_the_reply_to_the_question_is_heard(make_lab, monkeypatch):
    """The question is committed, the reply to that is lost: before the writer finds out, a person has decided."""
    ledger: list[Any] = []
    lab = await make_lab(gated(ledger))
    await lab.start()

    def lose_the_reply(point: str) -> None:
        asked = "select count(*) from holdfast.approvals where run = %s and state = 'pending'"
        with psycopg.connect(lab.admin_url) as connection:
            if point == "append.after_commit" and connection.execute(asked, [lab.run]).fetchone() == (1,):
                raise psycopg.OperationalError("the reply is lost")

    async with lab.worker(probe=lose_the_reply) as execution:
        reconnect = lab.worker_db.connect

        async def after_the_decision() -> Any:
            [task] = await pending(lab)
            await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
            execution.notice()
            await eventually(lambda: execution._recorder._fold_to == 1)
            return await reconnect()

        monkeypatch.setattr(lab.worker_db, "connect", after_the_decision)
        assert await execution.run() == "finished"
    await lab.expect("succeeded")
    assert [(amount, note) for _, amount, note in ledger] == [(500, "none")]
