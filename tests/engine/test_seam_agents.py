"""Every kind of agent runs as it is: toolsets, output functions, fallback models, timeouts, sessions, dependencies."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, RunContext, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import BinaryContent, ModelRequest, ToolReturn, ToolReturnPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.toolsets import FunctionToolset
from tests.engine.agents import agent, scripted, sequential
from tests.engine.lab import WHO, Died, die_at

from holdfast import UserError, effect
from holdfast.app import App
from holdfast.domain import events as ev
from holdfast.task import RunScope


class Answer(BaseModel):
    text: str
    risk: int


def answering(*answers: Any) -> Any:
    """A model that answers through whatever output tool the request offers."""

    def respond(messages: Any, info: Any) -> Any:
        from pydantic_ai.messages import ModelResponse, ToolCallPart

        turn = sum(isinstance(message, ModelResponse) for message in messages)
        return ModelResponse(
            parts=[
                ToolCallPart(info.output_tools[0].name, answers[min(turn, len(answers) - 1)], tool_call_id=f"o{turn}")
            ]
        )

    return FunctionModel(respond)


async def test_structured_output_is_stored_as_its_type(make_lab):
    lab = await make_lab(Agent(answering({"text": "ok", "risk": 1}), output_type=Answer), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert await lab.output() == {"text": "ok", "risk": 1}


async def test_output_outside_the_contract_never_succeeds(make_lab):
    lab = await make_lab(Agent(answering({"text": "ok", "risk": "much"}), output_type=Answer), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_validator_that_rejects_is_not_asked_again_on_replay(make_lab, stream):
    judged: list[str] = []
    made = agent("bad answer", "good answer")

    @made.output_validator
    def judge(output: str) -> str:
        judged.append(output)
        if "bad" in output:
            raise ModelRetry("not that")
        return output

    lab = await make_lab(made, stream=stream)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.answered", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert sum("bad" in output for output in judged if output.strip() == "bad answer") == 1


async def test_an_output_function_runs_once(make_lab):
    handed: list[str] = []

    def hand_over(text: str, risk: int) -> str:
        handed.append(effect.key())
        return f"handed {text}"

    lab = await make_lab(Agent(answering({"text": "it", "risk": 1}), output_type=ToolOutput(hand_over)), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert await lab.output() == "handed it"
    assert len(handed) == 1


async def test_an_output_function_cut_off_is_in_doubt_unless_declared(make_lab):
    handed: list[str] = []

    def hand_over(text: str, risk: int) -> str:
        handed.append(text)
        if len(handed) == 1:
            raise Died
        return f"handed {text}"

    def made() -> Any:
        return Agent(answering({"text": "it", "risk": 1}), output_type=ToolOutput(hand_over))

    lab = await make_lab(made(), stream=False)
    await lab.start()
    assert isinstance(await lab.work(), Died)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "in_doubt"
    assert handed == ["it"]


async def test_a_fallback_model_serves_when_the_first_fails_and_the_journal_says_so(make_lab):
    def broken(messages: Any, info: Any) -> Any:
        raise ModelHTTPError(503, "first", "down")

    lab = await make_lab(Agent(FallbackModel(FunctionModel(broken), scripted("served"))), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    # The framework sends a fallback model's attempts as one request; the response names those that failed.
    [responded] = await lab.of(ev.ModelResponded)
    response = await lab.content(responded.response)
    assert "503" in str(response["failed_attempts"])


async def test_a_model_that_fails_fails_the_run_with_its_cause(make_lab):
    def broken(messages: Any, info: Any) -> Any:
        raise ModelHTTPError(500, "gpt", "the provider is down")

    lab = await make_lab(Agent(FunctionModel(broken)), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    assert "ModelHTTPError" in await lab.failure()


async def test_dynamic_and_unnamed_toolsets(make_lab):
    calls: list[int] = []
    made = agent(*sequential(3))

    @made.toolset
    def tools(ctx: RunContext[Any]) -> Any:
        toolset: Any = FunctionToolset()

        @toolset.tool_plain
        @effect.idempotent
        def step(i: int) -> int:
            calls.append(i)
            return i

        return toolset

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 4)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert sorted(set(calls)) == [0, 1, 2]
    assert {event.recovery for event in await lab.of(ev.ToolStarted)} == {"idempotent"}


async def test_an_mcp_toolset_is_declared_by_name_and_replayed(make_lab):
    from mcp.server import MCPServer
    from pydantic_ai.mcp import MCPToolset

    calls: list[int] = []
    server = MCPServer("steps")

    @server.tool()
    def step(i: int) -> str:
        calls.append(i)
        return f"step {i}"

    lab = await make_lab(agent(*sequential(2), toolsets=[MCPToolset(server)]), effects={"step": "idempotent"})
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 5)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert calls == [0, 1]
    assert {event.recovery for event in await lab.of(ev.ToolStarted)} == {"idempotent"}


async def test_a_tool_that_takes_too_long(make_lab):
    made = agent([("slow", {}, "s")], "done")

    @made.tool_plain
    @effect.idempotent
    async def slow() -> str:
        await asyncio.Event().wait()
        return "never"

    lab = await make_lab(made, tool_timeout_s=0.05)
    await lab.start()
    assert await lab.work() == "finished"
    [finished] = await lab.of(ev.ToolFinished)
    assert finished.outcome == "failed"
    assert "did not finish within" in await lab.content(finished.result)


async def test_a_once_tool_that_takes_too_long_is_in_doubt(make_lab):
    made = agent([("slow", {}, "s")], "done")

    @made.tool_plain
    async def slow() -> str:
        await asyncio.Event().wait()
        return "never"

    lab = await make_lab(made, tool_timeout_s=0.05)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "in_doubt"


async def test_a_session_goes_on_from_its_last_run_by_reference(make_lab):
    seen: list[Any] = []
    lab = await make_lab(agent("first", "second", "third", seen=seen), stream=False)
    from uuid import uuid4

    session = uuid4()
    for prompt in ("one", "two", "three"):
        await lab.start(input=prompt, session=session)
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
    assert [part.content for message in seen[-1] if isinstance(message, ModelRequest) for part in message.parts] == [
        "one",
        "two",
        "three",
    ]
    [requested] = await lab.of(ev.ModelRequested)
    assert sum("/" in ref for ref in requested.messages.add) == 4


async def test_files_in_a_tool_result_come_back_as_files(make_lab):
    picture = BinaryContent(b"\x89PNG not really", media_type="image/png")
    seen: list[Any] = []
    made = agent([("look", {}, "a")], [("look", {}, "b")], "done", seen=seen)

    @made.tool_plain
    @effect.pure
    def look() -> ToolReturn:
        return ToolReturn("a picture", content=["see:", picture], metadata={"n": 1})

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 4)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    files = [
        item
        for message in seen[-1]
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part.content, list)
        for item in part.content
        if isinstance(item, BinaryContent)
    ]
    assert [file.data for file in files] == [picture.data, picture.data]


async def test_text_with_half_a_surrogate_and_nul_survives(make_lab):
    seen: list[Any] = []
    made = agent([("odd", {}, "a")], [("odd", {}, "b")], "done", seen=seen)

    @made.tool_plain
    @effect.pure
    def odd() -> str:
        return "half \ud83d and nul \0 and all"

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 4)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    returned = [
        part.content
        for message in seen[-1]
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    assert returned == ["half \ud83d and nul \0 and all"] * 2


async def test_dependencies_are_built_anew_and_closed(make_lab):
    built: list[RunScope] = []
    closed: list[int] = []
    made = agent([("use", {}, "u")], "done", deps_type=dict)

    @made.tool
    @effect.pure
    def use(ctx: RunContext[Any]) -> str:
        return ctx.deps["who"]

    @asynccontextmanager
    async def deps(scope: RunScope) -> Any:
        built.append(scope)
        try:
            yield {"who": scope.principal.name}
        finally:
            closed.append(1)

    lab = await make_lab(made, deps=deps)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert [str(scope.principal.id) for scope in built] == [WHO.principal] * 2
    assert len(closed) == 2


async def test_a_dependency_factory_that_raises_fails_the_run_and_says_where(make_lab):
    def deps(scope: RunScope) -> Any:
        raise ConnectionError("no such bank")

    lab = await make_lab(agent("hi"), deps=deps)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    assert "ConnectionError: no such bank at test_seam_agents.py" in await lab.failure()


async def test_a_journal_of_a_newer_library_parks_the_run(make_lab, monkeypatch):
    lab = await make_lab(agent(*sequential(1)))
    await lab.start()
    with monkeypatch.context() as patched:
        patched.setattr("pydantic_ai.__version__", "99.0.0")
        assert isinstance(await lab.work(probe=die_at("intent.after")), Died)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "code"
    [parked] = await lab.of(ev.RunParked)
    assert "99.0.0" in parked.why


def test_a_task_registered_twice_is_refused():
    app = App("twice")
    app.task("a", agent=agent("x"))
    with pytest.raises(UserError, match="registered twice"):
        app.task("a", agent=agent("x"))


@pytest.mark.filterwarnings("ignore:Could not generate return schema")
def test_a_tool_whose_result_type_cannot_be_stored_is_refused_at_registration():
    class Odd:
        pass

    made = agent("x")

    @made.tool_plain
    def odd() -> Odd:
        return Odd()

    with pytest.raises(UserError, match=r"tool 'odd' \(.*test_seam_agents.py"):
        App("odd").task("a", agent=made)


def test_a_declaration_for_a_tool_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="no tool for"):
        App("x").task("a", agent=agent("x"), effects={"nothing": "pure"})


async def test_invalid_input_is_refused_before_anything_is_stored(make_lab):
    from holdfast.domain.errors import InvalidInput

    lab = await make_lab(agent("x"), input=Answer)
    with pytest.raises(InvalidInput, match="risk"):
        await lab.start(input={"text": "a"})


async def test_every_run_kind_counts_what_it_used(make_lab):
    for stream, count in itertools.product([True, False], [0, 2]):
        made = agent(*sequential(count))

        @made.tool_plain
        @effect.pure
        def step(i: int) -> int:
            return i

        lab = await make_lab(made, stream=stream)
        await lab.start()
        await lab.work()
        row = lab.row()
        assert (row["model_requests"], row["tool_calls"]) == (count + 1, count)
