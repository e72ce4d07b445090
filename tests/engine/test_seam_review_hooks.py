"""User hooks and the framework's own machinery around the seam: none may swallow, repeat or reorder."""

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import CallDeferred, RetryModelRequest, SkipModelRequest, SkipToolExecution
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.tools import DeferredToolResults
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Died, die_at

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide


def with_capability(made: Agent[Any, Any], capability: Any) -> Agent[Any, Any]:
    return Agent(made.model, toolsets=list(made.toolsets), capabilities=[capability])


def looking(
    *script: Any, ran: list[Any] | None = None, requires_approval: bool = False, declare: Any = effect.once
) -> Agent[Any, Any]:
    made = agent(*(script or ([("look", {"n": 1}, "l1")], "done")))

    @made.tool_plain(requires_approval=requires_approval)
    @declare
    def look(n: int) -> str:
        if ran is not None:
            ran.append(n)
        return f"seen {n}"

    return made


class Swallows(AbstractCapability[Any]):
    """Catches everything that user code may be expected to catch, and then some."""

    async def on_run_error(self, ctx: Any, *, error: BaseException) -> Any:
        if isinstance(error, Died):
            raise error
        from pydantic_ai.run import AgentRunResult

        return AgentRunResult(output="swallowed")

    async def on_tool_execute_error(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, error: Any) -> Any:
        return "swallowed"

    async def on_model_request_error(self, ctx: Any, *, request_context: Any, error: Any) -> Any:
        return ModelResponse(parts=[TextPart("swallowed")])


async def test_a_hook_that_recovers_from_errors_does_not_swallow_a_park(make_lab):
    """DESIGN 4 and 6: the run waits for its approval, whatever a user's hook makes of being interrupted."""
    ran: list[int] = []
    lab = await make_lab(with_capability(looking(ran=ran, requires_approval=True), Swallows()))
    await lab.start()
    assert await lab.work() == "parked"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ran == [1]
    assert str(await lab.output()).strip() == "done"


async def test_a_hook_that_recovers_from_errors_does_not_swallow_an_effect_in_doubt(make_lab):
    """DESIGN 4: in doubt is a human task."""
    ran: list[int] = []
    lab = await make_lab(with_capability(looking(ran=ran), Swallows()))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "in_doubt"
    assert ran == [1]


async def test_a_hook_that_starts_a_task_group_does_not_hide_a_park(make_lab):
    """An interrupt inside an exception group is still an interrupt."""

    class Grouped(AbstractCapability[Any]):
        async def wrap_run(self, ctx: Any, *, handler: Any) -> Any:
            async with asyncio.TaskGroup() as group:
                inner = group.create_task(handler())
            return inner.result()

    lab = await make_lab(with_capability(looking(requires_approval=True), Grouped()))
    await lab.start()
    assert await lab.work() == "parked"


def counting(hook: str, ran: list[str]) -> Any:
    """A hook that asks for another try the first time it is called, wherever it stands."""

    class Asks(AbstractCapability[Any]):
        pass

    async def again(self: Any, ctx: Any, *args: Any, **more: Any) -> Any:
        handler = more.pop("handler", None)
        first = not ran
        ran.append(hook)
        if first:
            raise ModelRetry("again")
        if handler is not None:
            return await handler(more.get("args", more.get("request_context", more.get("output"))))
        return more.get(
            "response", more.get("result", more.get("args", more.get("request_context", args[:1] and args[0])))
        )

    setattr(Asks, hook, again)
    return Asks()


@pytest.mark.parametrize(
    "hook",
    [
        "before_model_request",
        "wrap_model_request",
        "after_model_request",
        "before_tool_execute",
        "wrap_tool_execute",
        "after_tool_execute",
        "after_tool_validate",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_asked_for_by_a_hook_at_any_stage_replays(make_lab, hook, stream):
    """ENGINE, The seam: re-raising ModelRetry; a rejected response replays through the rejection."""
    uninterrupted = None
    for nth in range(1, 12):
        asked: list[str] = []
        ran: list[int] = []
        made = looking([("look", {"n": 1}, "l1")], [("look", {"n": 2}, "l2")], "done", ran=ran, declare=effect.pure)
        made = Agent(made.model, toolsets=list(made.toolsets), capabilities=[counting(hook, asked)], retries=3)
        lab = await make_lab(made, stream=stream)
        await lab.start()
        died = await lab.work(probe=die_at("intent.before", nth)) if nth > 1 else await lab.work()
        if isinstance(died, Died):
            assert await lab.work() == "finished", (nth, lab.row()["waiting_on"])
        await lab.expect("succeeded")
        finished = [(event.call, event.step) for event in await lab.of(ev.ToolFinished) if event.outcome == "value"]
        assert len(finished) == len(dict(finished)), (nth, finished)
        [succeeded] = await lab.of(ev.RunSucceeded)
        used = (succeeded.usage.requests, succeeded.usage.tool_calls)
        if uninterrupted is None:
            uninterrupted = used
        # A rejection that was not committed when the worker died never was: the hook is asked again.
        if any(event.outcome == "retry" for event in await lab.of(ev.ToolFinished)) or "model" in hook:
            assert used == uninterrupted, nth
        if nth > 1 and not isinstance(died, Died):
            return
    pytest.fail("never came to its end")


async def test_another_attempt_asked_for_by_a_hook_is_counted_alike_on_replay(make_lab):
    """RetryModelRequest: every attempt is announced, the one that counts is replayed, usage comes out the same."""
    used = []
    for point in (None, ("intent.before", 4)):
        rejected: list[int] = []

        class Picky(AbstractCapability[Any]):
            def __init__(self, rejected: list[int]) -> None:
                self.rejected = rejected

            async def after_model_request(self, ctx: Any, *, request_context: Any, response: Any) -> Any:
                if not self.rejected:
                    self.rejected.append(1)
                    raise RetryModelRequest
                return response

        lab = await make_lab(with_capability(looking(), Picky(rejected)), stream=False)
        await lab.start()
        if point is not None:
            assert isinstance(await lab.work(probe=die_at(*point)), Died)
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert [event.attempt for event in await lab.of(ev.ModelRequested) if event.step == 1] == [1, 2]
        [succeeded] = await lab.of(ev.RunSucceeded)
        used.append((succeeded.usage.requests, succeeded.usage.tool_calls, succeeded.usage.output_tokens))
    assert used[0] == used[1]


async def test_a_request_that_a_hook_skips_is_replayed_as_skipped(make_lab):
    skipped: list[int] = []

    class Skips(AbstractCapability[Any]):
        async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
            if ctx.run_step == 1:
                skipped.append(1)
                raise SkipModelRequest(scripted([("look", {"n": 7}, "l7")]).function([], None))
            return request_context

    lab = await make_lab(with_capability(looking(), Skips()), stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert skipped == [1]


@pytest.mark.parametrize("how", ["skips", "answers", "recovers"])
async def test_a_call_that_a_hook_answers_is_counted_alike_on_replay(make_lab, how):
    """ENGINE, The seam: usage comes out exactly, for a call that never reached its tool too."""
    used = []
    for crash in (False, True):

        class Answers(AbstractCapability[Any]):
            async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
                if how == "skips":
                    raise SkipToolExecution("from the cache")
                return "from the cache" if how == "answers" else await handler(args)

            async def on_tool_execute_error(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, error: Any) -> Any:
                if how == "recovers":
                    return "recovered"
                raise error

        made = agent([("look", {}, "l1")], "done")

        @made.tool_plain
        @effect.pure
        def look() -> str:
            raise RuntimeError("broken")

        lab = await make_lab(with_capability(made, Answers()))
        await lab.start()
        if crash:
            assert isinstance(await lab.work(probe=die_at("model.sending", 2)), Died)
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        [succeeded] = await lab.of(ev.RunSucceeded)
        used.append((succeeded.usage.requests, succeeded.usage.tool_calls))
    assert used[0] == used[1]


@pytest.mark.parametrize("strategy", ["early", "graceful", "exhaustive"])
async def test_tools_beside_the_final_answer_run_once_by_any_strategy(make_lab, strategy):
    """ENGINE, The seam: a finished step never runs again; kind and order of steps by each end strategy."""
    for nth in range(1, 10):
        ran: list[str] = []
        answered: list[str] = []

        made = Agent(
            scripted([("a", {}, "1"), ("final_result", {"text": "x"}, "f"), ("b", {}, "2")], "done"),
            output_type=answer_function(answered),
            end_strategy=strategy,
        )
        for name in "ab":
            made.tool_plain(effect.idempotent(noting(name, ran)), name=name)
        lab = await make_lab(made, effects={"answer": "idempotent"})
        await lab.start()
        died = await lab.work(probe=die_at("intent.before", nth))
        if isinstance(died, Died):
            assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert len(ran) == len(set(ran))
        assert set(answered) == {"x"}
        assert await lab.output() == "x"
        if not isinstance(died, Died):
            return
    pytest.fail("never came to its end")


def answer_function(answered: list[str]) -> Any:
    async def answer(text: str) -> str:
        answered.append(text)
        return text

    return answer


def noting(name: str, ran: list[str]) -> Any:
    async def tool() -> str:
        ran.append(effect.key())
        return name

    tool.__name__ = name
    return tool


async def test_nothing_of_a_run_is_kept_after_it_ended(make_lab):
    """A worker lives for months: what it made for a run goes with the run."""
    import gc
    import weakref

    lab = await make_lab(looking(ran=[]))
    await lab.start()
    async with lab.worker() as execution:
        assert await execution.run() == "finished"
        recorder = execution._recorder
        kept = weakref.ref(execution)
        del execution
    gc.collect()
    assert kept() is None
    # Cancelled timers keep the run's context, and so its recorder, for minutes: it must be empty.
    assert (recorder._content, recorder._messages, recorder._logs, recorder.replay.tools) == ({}, {}, {}, {})


async def test_a_renamed_tool_keeps_its_own_recovery_class(make_lab):
    """DESIGN 4: a tool's class is its function's, by whatever name it is called."""
    from pydantic_ai.toolsets import FunctionToolset

    tools = FunctionToolset[Any]()
    ran: list[str] = []

    @tools.tool_plain
    @effect.once
    def b() -> str:
        ran.append("b")
        return "b"

    @tools.tool_plain
    @effect.pure
    def a_b() -> str:
        ran.append("a_b")
        return "a_b"

    swapped = FunctionToolset[Any]()

    @swapped.tool_plain
    @effect.pure
    def read() -> str:
        return "read"

    @swapped.tool_plain
    @effect.once
    def write() -> str:
        return "write"

    calls = [("a_b", {}, "1"), ("a_a_b", {}, "2"), ("read", {}, "3"), ("write", {}, "4")]
    made = Agent(
        scripted(calls, "done"), toolsets=[tools.prefixed("a"), swapped.renamed({"read": "write", "write": "read"})]
    )
    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    classes = {event.call: event.recovery.value for event in await lab.of(ev.ToolStarted)}
    assert classes == {"1": "once", "2": "pure", "3": "once", "4": "pure"}


@pytest.mark.parametrize("declared", ["by decorator", "by name"])
async def test_an_output_function_can_be_declared(make_lab, declared):
    """DESIGN 4: an output function is an effect like another, and says so in the same ways."""
    keys: list[str] = []

    async def answer(text: str) -> str:
        keys.append(effect.key())
        if len(keys) == 1:
            raise Died
        return text

    made = Agent(
        scripted([("final_result", {"text": "x"}, "f")]),
        output_type=[effect.idempotent(answer) if declared == "by decorator" else answer],
    )
    lab = await make_lab(made, effects={"answer": "idempotent"} if declared == "by name" else {})
    await lab.start()
    assert isinstance(await lab.work(), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_a_question_that_a_capability_answers_is_still_a_question_on_replay(make_lab):
    """ENGINE, The seam: `ToolCallDeferred` is an outcome and replays by re-raising: as what it was."""
    seen: list[Any] = []
    made = agent([("ask", {}, "q1")], "done", seen=seen)

    @made.tool_plain
    @effect.pure
    def ask() -> str:
        raise CallDeferred(kind="question")

    class Answers(AbstractCapability[Any]):
        async def handle_deferred_tool_calls(self, ctx: Any, *, requests: Any) -> Any:
            return DeferredToolResults(calls={call.tool_call_id: "42" for call in requests.calls})

        async def after_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, result: Any) -> Any:
            return f"checked {result}"

    lab = await make_lab(with_capability(made, Answers()), stream=False)
    await lab.start()
    # The outcome is committed with the next request's intent: it dies after that, and is replayed from there.
    assert isinstance(await lab.work(probe=die_at("intent.after", 3)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert "checked 42" in str(seen[-1][-1])
