"""What people and other processes say to a run under way: messages, cancellation, hand-over, a lost lease."""

import asyncio
import threading
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, UserPromptPart
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at, eventually

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.errors import AlreadyDecided, AlreadyFinished
from holdfast.service.cancel_run import cancel_run
from holdfast.service.decide_approval import EffectReported, resolve_effect
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide
from holdfast.service.send_message import send_message


def waiting_agent(declare: Any, entered: list[str], may_end: asyncio.Event, seen: Any = None) -> Any:
    made = agent([("wait", {}, "w1")], "done", "done again", seen=seen)

    @made.tool_plain
    @declare
    async def wait() -> str:
        entered.append(effect.key())
        await may_end.wait()
        return "waited"

    return made


def prompts(messages: list[Any]) -> list[Any]:
    return [
        part.content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]


async def test_a_message_reaches_the_next_model_request(make_lab):
    entered: list[str] = []
    may_end = asyncio.Event()
    seen: list[Any] = []
    lab = await make_lab(waiting_agent(effect.once, entered, may_end, seen), stream=False)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        await send_message(lab.services, WHO, lab.run, "and hurry")
        execution.notice()
        async with asyncio.timeout(30):
            while not await lab.of(ev.MessageReceived):
                await asyncio.sleep(0.01)
        may_end.set()
        assert await running == "finished"
    assert prompts(seen[-1]) == ["hi", "and hurry"]


async def test_a_message_that_comes_after_the_last_request_gets_a_turn_of_its_own(make_lab):
    seen: list[Any] = []
    lab = await make_lab(agent("first answer", "second answer", seen=seen), stream=False)
    await lab.start()
    sent: list[int] = []

    async with lab.worker() as execution:
        real = execution._finish

        async def finish(recorder: Any, *args: Any, **more: Any) -> Any:
            if not sent:
                sent.append(1)
                await send_message(lab.services, WHO, lab.run, "one more thing")
            return await real(recorder, *args, **more)

        execution._finish = finish
        assert await execution.run() == "finished"
    await lab.expect("succeeded")
    assert await lab.output() == "second answer"
    assert prompts(seen[-1]) == ["hi", "one more thing"]
    assert len(seen) == 2


async def test_a_turn_of_its_own_is_replayed_as_one(make_lab):
    seen: list[Any] = []
    lab = await make_lab(agent("first answer", "second answer", seen=seen), stream=False)
    await lab.start()
    await send_message(lab.services, WHO, lab.run, "early")
    # Delivered before the first request: it is part of it. A second one comes later.
    assert isinstance(await lab.work(probe=die_at("model.answered")), Died)
    assert await lab.work() == "finished"
    assert prompts(seen[-1]) == ["hi", "early"]


@pytest.mark.parametrize(("declare", "doubts"), [(effect.pure, 0), (effect.once, 1)])
async def test_cancelling_in_the_middle_of_a_tool(make_lab, declare, doubts):
    entered: list[str] = []
    lab = await make_lab(waiting_agent(declare, entered, asyncio.Event()))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        await cancel_run(lab.services, WHO, lab.run, reason="changed my mind")
        execution.notice()
        assert await running == "finished"
    assert lab.state == "cancelled"
    assert len(await lab.of(ev.EffectInDoubt)) == doubts
    tasks = (await list_tasks_to_decide(lab.services, WHO)).items
    assert len(tasks) == doubts


async def test_cancelling_in_the_middle_of_a_stream(make_lab):
    started = asyncio.Event()

    async def stream(messages: Any, info: Any) -> Any:
        yield "half an "
        started.set()
        await asyncio.Event().wait()

    from pydantic_ai import Agent
    from pydantic_ai.models.function import FunctionModel

    lab = await make_lab(Agent(FunctionModel(stream_function=stream)))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(started.wait(), 30)
        await cancel_run(lab.services, WHO, lab.run)
        execution.notice()
        assert await running == "finished"
    assert lab.state == "cancelled"
    assert await lab.of(ev.ModelResponded) == []


async def test_a_queued_run_is_cancelled_without_running_anything(make_lab):
    entered: list[str] = []
    lab = await make_lab(waiting_agent(effect.pure, entered, asyncio.Event()))
    await lab.start()
    await cancel_run(lab.services, WHO, lab.run)
    assert await lab.work() == "finished"
    assert lab.state == "cancelled"
    assert entered == []
    with pytest.raises(AlreadyFinished):
        await send_message(lab.services, WHO, lab.run, "too late")


async def test_no_new_intent_after_a_cancellation_that_the_worker_has_not_heard_of(make_lab):
    """The append itself refuses: a lost hint costs nothing."""
    entered: list[str] = []
    may_end = asyncio.Event()
    lab = await make_lab(waiting_agent(effect.once, entered, may_end))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        await cancel_run(lab.services, WHO, lab.run)
        may_end.set()
        assert await running == "finished"
    assert lab.state == "cancelled"
    assert len(await lab.of(ev.ModelRequested)) == 1
    # What was under way finished, and its outcome is recorded.
    [finished] = await lab.of(ev.ToolFinished)
    assert finished.outcome == "value"


async def test_draining_lets_an_effect_finish_and_hands_the_run_over(make_lab):
    entered: list[str] = []
    may_end = asyncio.Event()
    lab = await make_lab(waiting_agent(effect.once, entered, may_end))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        execution.drain()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not running.done()
        may_end.set()
        assert await running == "handed_over"
    assert len(await lab.of(ev.ToolFinished)) == 1
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(entered) == 1


async def test_draining_cuts_off_at_once_what_may_run_again(make_lab):
    entered: list[str] = []
    may_end = asyncio.Event()
    lab = await make_lab(waiting_agent(effect.idempotent, entered, may_end))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        execution.drain()
        assert await running == "handed_over"
    may_end.set()
    assert await lab.work() == "finished"
    assert len(entered) == 2
    assert len(set(entered)) == 1


async def test_a_lost_run_is_dropped_and_writes_nothing_more(make_lab):
    entered: list[str] = []
    lab = await make_lab(waiting_agent(effect.once, entered, asyncio.Event()))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        before = len(await lab.events())
        execution.lose("lease expired")
        assert await running == "lost"
        assert len(await lab.events()) == before


async def test_a_fenced_writer_that_knows_an_outcome_resolves_the_effect_in_doubt(make_lab):
    entered: list[str] = []
    may_end = asyncio.Event()
    lab = await make_lab(waiting_agent(effect.once, entered, may_end))
    await lab.start()
    async with lab.worker() as zombie:
        running = asyncio.create_task(zombie.run())
        await eventually(lambda: len(entered) == 1)
        assert await lab.work() == "parked"
        assert lab.row()["waiting_on"] == "in_doubt"
        may_end.set()
        assert await running == "lost"
    assert lab.state == "queued"
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(entered) == 1
    [resolved] = await lab.of(ev.EffectResolved)
    assert resolved.resolution == "done"
    assert "late" in resolved.by


@pytest.mark.parametrize("answer", ["not_done", "fail_run"])
async def test_a_late_report_closes_the_task_and_a_person_who_did_not_know_of_it_is_told(make_lab, answer):
    entered: list[str] = []
    may_end = asyncio.Event()
    lab = await make_lab(waiting_agent(effect.once, entered, may_end))
    await lab.start()
    async with lab.worker() as zombie:
        running = asyncio.create_task(zombie.run())
        await eventually(lambda: len(entered) == 1)
        assert await lab.work() == "parked"
        [task] = (await list_tasks_to_decide(lab.services, WHO)).items
        may_end.set()
        assert await running == "lost"
    # What the zombie knows is in the inbox, and nobody has read it yet.
    with pytest.raises(EffectReported, match="has yet to read it"):
        await resolve_effect(lab.services, WHO, task.id, answer, digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(entered) == 1
    assert (await list_tasks_to_decide(lab.services, WHO)).items == []
    closed = await get_task_to_decide(lab.services, WHO, task.id)
    assert (closed.state, closed.decided_by) == ("done", "late report of the worker that lost the run")
    assert closed.decided_at is not None
    with pytest.raises(AlreadyDecided, match="decided first by late report"):
        await resolve_effect(lab.services, WHO, task.id, answer, digest=task.digest)


async def test_a_report_that_comes_while_the_probe_looks_outweighs_what_it_sees(make_lab):
    entered: list[str] = []
    may_end, looking, may_answer = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def probe(_: Any) -> Any:
        looking.set()
        await may_answer.wait()
        return effect.NotHappened()

    lab = await make_lab(waiting_agent(effect.reconcile(probe=probe), entered, may_end))
    await lab.start()
    async with lab.worker() as zombie:
        losing = asyncio.create_task(zombie.run())
        await eventually(lambda: len(entered) == 1)
        async with lab.worker() as holder:
            running = asyncio.create_task(holder.run())
            await looking.wait()
            may_end.set()
            assert await losing == "lost"
            holder.notice()
            await eventually(lambda: holder._recorder.news)
            may_answer.set()
            assert await running == "finished"
    await lab.expect("succeeded")
    assert len(entered) == 1


async def test_sync_tools_run_in_threads(make_lab):
    threads: list[bool] = []
    made = agent([("sync", {}, "s")], "done")

    @made.tool_plain
    @effect.pure
    def sync() -> str:
        threads.append(threading.current_thread() is threading.main_thread())
        return effect.key()

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "finished"
    assert threads == [False]
