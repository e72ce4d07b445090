"""What people say at awkward moments is neither lost nor heard twice."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic_ai import Agent
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at, eventually
from tests.engine.test_seam_signals import prompts

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.decide_approval import decide_approval, resolve_effect
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.send_message import send_message


async def until(lab: Any, kind: type[Any], count: int = 1) -> None:
    """Wait until the journal holds `count` events of a kind."""
    async with asyncio.timeout(30):
        while len(await lab.of(kind)) < count:
            await asyncio.sleep(0.01)


async def test_an_effect_resolved_while_its_sibling_still_runs_is_resolved(make_lab):
    """ENGINE, Recovery and The append: signals cannot be lost; a person may answer before the run has parked."""
    slow_may_end, slow_runs = asyncio.Event(), list[int]()
    made = agent([("pay", {}, "p1"), ("slow", {}, "s1")], "done")
    paid: list[str] = []

    @made.tool_plain
    @effect.once
    async def pay() -> str:
        await eventually(lambda: bool(slow_runs))
        paid.append("paid")
        return "paid"

    @made.tool_plain
    @effect.idempotent
    async def slow() -> str:
        slow_runs.append(1)
        await slow_may_end.wait()
        return "slow"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await until(lab, ev.EffectInDoubt)
        await eventually(lambda: len(slow_runs) == 2)
        [task] = (await list_tasks_to_decide(lab.services, WHO)).items
        await resolve_effect(lab.services, WHO, task.id, "done", digest=task.digest, result="found it")
        execution.notice()
        await until(lab, ev.EffectResolved)
        slow_may_end.set()
        await running
    assert lab.state != "parked"
    await lab.expect("succeeded")
    assert paid == ["paid"]


def closing(gate: asyncio.Event, reached: asyncio.Event) -> Any:
    """Dependencies whose closing takes as long as the test wants."""

    @asynccontextmanager
    async def deps(scope: Any) -> Any:
        try:
            yield None
        finally:
            reached.set()
            await gate.wait()

    return deps


async def test_a_decision_folded_in_while_the_run_is_on_its_way_to_park_wakes_it(make_lab):
    """ENGINE, The append: signals cannot be lost."""
    made = agent([("pay", {}, "p1")], "done")

    @made.tool_plain(requires_approval=True)
    @effect.once
    async def pay() -> str:
        return "paid"

    gate, reached = asyncio.Event(), asyncio.Event()
    lab = await make_lab(made, deps=closing(gate, reached))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(reached.wait(), 30)
        [task] = (await list_tasks_to_decide(lab.services, WHO)).items
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
        execution.notice()
        await until(lab, ev.ApprovalDecided)
        gate.set()
        await running
    await lab.expect("succeeded")


async def test_a_message_folded_in_while_the_run_is_on_its_way_to_its_end_gets_its_turn(make_lab):
    """ENGINE, The append: parking and finishing are refused unless everything delivered was dealt with."""
    gate, reached = asyncio.Event(), asyncio.Event()
    seen: list[Any] = []
    lab = await make_lab(agent("first", "second", seen=seen), deps=closing(gate, reached), stream=False)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(reached.wait(), 30)
        await send_message(lab.services, WHO, lab.run, "one more thing")
        execution.notice()
        await until(lab, ev.MessageReceived)
        gate.set()
        await running
    await lab.expect("succeeded")
    assert prompts(seen[-1]) == ["hi", "one more thing"]
    assert await lab.output() == "second"


async def test_a_signal_being_folded_in_as_the_run_ends_is_heard(make_lab):
    """The watcher is stopped while its append is in flight: the fact commits, so it must be dealt with."""
    made = agent([("pay", {}, "p1")], "done")

    @made.tool_plain(requires_approval=True)
    @effect.once
    async def pay() -> str:
        return "paid"

    gate, reached = asyncio.Event(), asyncio.Event()
    lab = await make_lab(made, deps=closing(gate, reached))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(reached.wait(), 30)
        recorder = execution._recorder
        real = recorder.fold

        async def fold(*args: Any, **more: Any) -> int:
            appending = asyncio.ensure_future(real(*args, **more))
            gate.set()
            await eventually(lambda: execution._agent is None or execution._agent.done())
            return await asyncio.shield(appending)

        recorder.fold = fold
        [task] = (await list_tasks_to_decide(lab.services, WHO)).items
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
        execution.notice()
        await running
    await lab.expect("succeeded")


async def two_turns(make_lab: Any, seen: list[Any]) -> Any:
    """A run that heard `early` in its first turn and `late` at its end, killed before its second turn's request."""
    may_end, entered = asyncio.Event(), asyncio.Event()
    made: Agent[Any, Any] = agent([("wait", {}, "w1")], "first", "second", seen=seen)

    @made.tool_plain
    @effect.idempotent
    async def wait() -> str:
        entered.set()
        await may_end.wait()
        return "waited"

    lab = await make_lab(made, stream=False)
    await lab.start()
    sent: list[int] = []
    async with lab.worker(probe=die_at("intent.before", 4)) as execution:
        real = execution._finish

        async def finish(recorder: Any, *args: Any, **more: Any) -> Any:
            if not sent:
                sent.append(1)
                await send_message(lab.services, WHO, lab.run, "late")
            return await real(recorder, *args, **more)

        execution._finish = finish
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(entered.wait(), 30)
        await send_message(lab.services, WHO, lab.run, "early")
        execution.notice()
        await until(lab, ev.MessageReceived)
        may_end.set()
        with pytest.raises(Died):
            await running
    return lab


async def test_a_message_heard_in_the_first_turn_is_not_repeated_in_the_second(make_lab):
    seen: list[Any] = []
    lab = await two_turns(make_lab, seen)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert prompts(seen[-1]) == ["hi", "early", "late"]


async def test_a_message_folded_in_while_a_request_is_being_prepared_survives_a_crash(make_lab):
    """It is in the journal before the request that does not carry it."""
    seen: list[Any] = []
    preparing, go = asyncio.Event(), asyncio.Event()
    made = agent([("look", {}, "l1")], "done", seen=seen)

    @made.tool_plain
    @effect.pure
    def look() -> str:
        return "seen"

    from pydantic_ai.capabilities import AbstractCapability

    class Slow(AbstractCapability[Any]):
        async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
            if ctx.run_step == 1 and not go.is_set():
                preparing.set()
                await go.wait()
            return request_context

    made = Agent(made.model, toolsets=list(made.toolsets), capabilities=[Slow()])
    lab = await make_lab(made, stream=False)
    await lab.start()
    async with lab.worker(probe=die_at("intent.before", 3)) as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(preparing.wait(), 30)
        await send_message(lab.services, WHO, lab.run, "meanwhile")
        execution.notice()
        await until(lab, ev.MessageReceived)
        go.set()
        with pytest.raises(Died):
            await running
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert prompts(seen[-1]) == ["hi", "meanwhile"]
