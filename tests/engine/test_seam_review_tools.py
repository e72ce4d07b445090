"""What a tool may do, and what comes of it live and on replay."""

import asyncio
import contextlib
from typing import Annotated, Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent, RunContext, ToolOutput
from pydantic_ai.messages import ModelRequest, ToolReturnPart
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Died, die_at, eventually
from tests.engine.test_seam_signals import prompts

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide

BEFORE_SECOND_REQUEST = ("intent.before", 3)


class Strict(BaseModel):
    amount: int


async def test_a_validation_error_in_a_tool_is_a_retry_live_and_on_replay(make_lab):
    """ENGINE, The seam: the outcome is what the framework makes of it; it takes a ValidationError for a retry."""
    ran: list[int] = []
    made = agent([("look", {}, "l1")], "done")

    @made.tool_plain
    @effect.pure
    def look() -> str:
        ran.append(1)
        Strict.model_validate({"amount": "much"})
        return "never"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(ran) == 1
    [finished] = await lab.of(ev.ToolFinished)
    assert finished.outcome == "retry"


async def test_messages_that_a_tool_enqueued_survive_a_crash(make_lab):
    """ENGINE, The seam: an outcome is value, deferral, enqueued messages, emitted events, usage delta, error."""
    seen: list[Any] = []
    made = agent([("look", {}, "l1")], "done", seen=seen)

    @made.tool
    @effect.pure
    def look(ctx: RunContext[Any]) -> str:
        ctx.enqueue("by the way")
        return "seen"

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert prompts(seen[-1]) == ["hi", "by the way"]


async def test_a_number_beyond_64_bits_is_replayed_exactly(make_lab):
    """ENGINE, The seam: a typed value."""
    seen: list[Any] = []
    wei = 123456789012345678901234567890
    made = agent([("look", {}, "l1")], "done", seen=seen)

    @made.tool_plain
    @effect.pure
    def look() -> int:
        return wei

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [part] = [p for m in seen[-1] if isinstance(m, ModelRequest) for p in m.parts if isinstance(p, ToolReturnPart)]
    assert part.content == wei


async def test_an_argument_made_up_by_the_validator_is_no_divergence(make_lab):
    """ENGINE, The seam: divergence compares structure; what a default factory makes is not structure."""
    made = agent([("look", {"what": "x"}, "l1")], "done")

    @made.tool_plain
    @effect.pure
    def look(what: str, ticket: Annotated[str, Field(default_factory=lambda: uuid4().hex)]) -> str:
        return what + ticket

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at(*BEFORE_SECOND_REQUEST)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


class Answer(BaseModel):
    text: str


async def test_two_calls_with_one_id_around_an_output_call_are_two_effects(make_lab):
    """The framework lets an id come twice where an output call lies between: each is an effect of its own."""
    keys: list[str] = []
    script = [[("pay", {"n": 1}, "same"), ("final_result", {"text": 1}, "f"), ("pay", {"n": 2}, "same")], "done"]
    made: Agent[Any, Any] = Agent(scripted(*script), output_type=[ToolOutput(Answer, name="final_result"), str])

    @made.tool_plain
    @effect.idempotent
    def pay(n: int) -> str:
        keys.append(effect.key())
        return f"paid {n}"

    lab = await make_lab(made)
    await lab.start()
    died = await lab.work(probe=die_at("intent.before", 4))
    assert isinstance(died, Died)
    assert len(keys) == len(set(keys)) == 2
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(keys) == 2


@pytest.mark.parametrize("how", ["raises", "asks"])
async def test_an_output_function_that_fails_waits_for_the_tools_beside_it(make_lab, how):
    """ENGINE, The seam: an error in one parallel call waits until its started siblings settle."""
    slow_may_end, entered = asyncio.Event(), list[str]()

    async def answer(text: str) -> str:
        await eventually(lambda: "slow" in entered)
        entered.append("answer")
        if how == "raises":
            raise RuntimeError("broken")
        raise ValueError("broken")

    made: Agent[Any, Any] = Agent(
        scripted([("final_result", {"text": "x"}, "f"), ("slow", {}, "s")], "done"),
        output_type=ToolOutput(answer, name="final_result"),
        end_strategy="exhaustive",
    )

    @made.tool_plain
    @effect.once
    async def slow() -> str:
        entered.append("slow")
        await slow_may_end.wait()
        return "slow"

    lab = await make_lab(made)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: "answer" in entered)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not running.done()
        slow_may_end.set()
        await running
    assert [event.outcome for event in await lab.of(ev.ToolFinished)] == ["value"]


async def test_draining_lets_an_output_function_finish(make_lab):
    """ENGINE, Recovery: drain lets in-flight once tools finish; an output function is one."""
    may_end, entered = asyncio.Event(), asyncio.Event()

    async def answer(text: str) -> str:
        entered.set()
        await may_end.wait()
        return text

    lab = await make_lab(Agent(scripted([("final_result", {"text": "x"}, "f")]), output_type=answer))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(entered.wait(), 30)
        execution.drain()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not running.done()
        may_end.set()
        await running
    if lab.state != "succeeded":
        assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert await lab.of(ev.EffectInDoubt) == []


async def test_cancelling_in_the_middle_of_an_output_function_leaves_a_human_task(make_lab):
    """ENGINE, Recovery: cancelling mid-once: the run is cancelled, its in-doubt task outlives it."""
    from holdfast.service.cancel_run import cancel_run

    entered = asyncio.Event()

    async def answer(text: str) -> str:
        entered.set()
        await asyncio.Event().wait()
        return text

    lab = await make_lab(Agent(scripted([("final_result", {"text": "x"}, "f")]), output_type=answer))
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await asyncio.wait_for(entered.wait(), 30)
        await cancel_run(lab.services, WHO, lab.run)
        execution.notice()
        assert await running == "finished"
    assert lab.state == "cancelled"
    assert len((await list_tasks_to_decide(lab.services, WHO)).items) == 1


async def test_a_tool_that_turns_its_interruption_into_an_error_does_not_fail_the_run(make_lab):
    """A hand-over is no fault of the run's: libraries turn CancelledError into errors of their own."""
    entered: list[int] = []
    may_end = asyncio.Event()
    made = agent([("wait", {}, "w")], "done")

    @made.tool_plain
    @effect.idempotent
    async def wait() -> str:
        entered.append(1)
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            raise ConnectionError("connection closed") from None
        return "waited"

    lab = await make_lab(made)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        execution.drain()
        assert await running == "handed_over"
    may_end.set()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_a_tool_that_swallows_its_interruption_gets_no_further(make_lab):
    """DESIGN 2: a worker that knows it lost the run starts nothing more, whatever user code does to the message."""
    entered: list[int] = []
    made = agent([("wait", {}, "w")], [("wait", {}, "w2")], "done")

    @made.tool_plain
    @effect.idempotent
    async def wait() -> str:
        entered.append(1)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "waited"

    lab = await make_lab(made)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: len(entered) == 1)
        execution.lose("no renewal confirmed")
        assert await asyncio.wait_for(running, 30) == "lost"
    assert len(entered) == 1
    assert len(await lab.of(ev.ModelRequested)) == 1


async def test_a_run_that_fails_leaves_a_human_task_for_an_effect_it_cut_off(make_lab):
    """DESIGN 4: a started, unfinished once effect is in doubt and becomes a human task, however the run ends."""
    ran: list[str] = []
    made = agent([("bad", {}, "b"), ("slow", {}, "s")], "done")

    @made.tool_plain
    async def bad() -> str:
        await eventually(lambda: "slow" in ran)
        raise RuntimeError("broken")

    @made.tool_plain
    @effect.once
    async def slow() -> str:
        ran.append("slow")
        await asyncio.Event().wait()
        return "never"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.after")), Died)
    for _ in range(2):
        if lab.state != "failed":
            await lab.work()
    assert ran == ["slow"]
    assert len(await lab.of(ev.EffectInDoubt)) == 1
    assert len((await list_tasks_to_decide(lab.services, WHO)).items) == 1


async def test_a_hanging_model_request_is_given_up(make_lab):
    """The task's model_timeout_s: seconds after which a model request is given up."""
    from pydantic_ai.models.function import FunctionModel

    async def never(messages: Any, info: Any) -> Any:
        await asyncio.Event().wait()

    async def never_stream(messages: Any, info: Any) -> Any:
        yield "some "
        await asyncio.Event().wait()

    for stream in (False, True):
        made = Agent(FunctionModel(never, stream_function=never_stream))
        lab = await make_lab(made, model_timeout_s=0.2, stream=stream)
        await lab.start()
        assert await asyncio.wait_for(lab.work(), 30) == "finished"
        assert lab.state == "failed"
        assert len(await lab.of(ev.ModelFailed)) == 1
