from __future__ import annotations

import time

import pytest
from openai import AsyncOpenAI, RateLimitError
from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
)

from holdfast.testing import ModelServer, Script, ScriptError, call, fault, say


async def complete(client, api):
    if api == "chat":
        return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    return await client.responses.create(model="m", input="x")


async def read_words(model, pieces, prompt="hi"):
    async with Agent(model).run_stream(prompt) as result:
        async for piece in result.stream_text(delta=True, debounce_by=None):
            pieces.append(piece)


async def read_events(agent):
    async with agent.run_stream_events("hi") as events:
        async for _ in events:
            pass


async def test_429_first_and_then_fine_is_retried_by_the_client(model_on, ask):
    script = Script(
        [fault(429, retry_after=0.01), fault(500, retry_after=0.01, times=2), fault(503, retry_after=0.01), say("fine")]
    )
    with ModelServer(script) as server:
        async with model_on(server, max_retries=4) as model:
            assert (await ask(Agent(model), "hi")).output == "fine"
        assert [each.status for each in server.requests] == [429, 500, 500, 503, 200]
        assert [each.attempt for each in server.requests] == [1, 2, 3, 4, 5]
        assert [each.fault for each in server.requests] == [
            "status 429",
            "status 500",
            "status 500",
            "status 503",
            None,
        ]


async def test_the_client_sees_retry_after(api):
    with ModelServer(Script([fault(429, retry_after=7), say("fine")])) as server:
        async with AsyncOpenAI(base_url=server.url, api_key="x", max_retries=0) as client:
            with pytest.raises(RateLimitError, match="scripted fault: status 429") as caught:
                await complete(client, api)
    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, ModelRateLimitError),
        (500, ModelServerError),
        (401, ModelAuthenticationError),
        (529, ModelHTTPError),
    ],
)
async def test_errors_reach_the_agent_as_their_kind(model_on, ask, status, error):
    with ModelServer(Script([fault(status, message="no luck"), say("fine")])) as server:
        async with model_on(server) as model:
            with pytest.raises(error, match="no luck") as caught:
                await ask(Agent(model), "hi")
            assert caught.value.status_code == status
            assert (await ask(Agent(model), "hi")).output == "fine", "the fault is spent"


async def test_faults_are_counted_for_each_turn_and_conversation(model_on, ask):
    script = Script([call("t"), fault(500), say("fine")])
    with ModelServer(script) as server:
        async with model_on(server, max_retries=1) as model:
            agent = Agent(model)

            @agent.tool_plain
            def t() -> str:
                return "t"

            for prompt in ("a", "b"):
                assert (await ask(agent, prompt)).output == "fine"
        assert [(each.turn, each.status) for each in server.requests] == [(1, 200), (2, 500), (2, 200)] * 2


async def test_a_turn_without_an_answer_never_recovers(model_on, ask):
    with ModelServer(Script([fault(429), fault(500)])) as server:
        async with model_on(server) as model:
            seen = []
            for _ in range(4):
                with pytest.raises(ModelHTTPError) as caught:
                    await ask(Agent(model), "hi")
                seen.append(caught.value.status_code)
    assert seen == [429, 500, 500, 500]


async def test_an_error_needs_no_values_but_what_is_cut_has_them(model_on):
    script = Script([fault(500), fault(cut_after=1), say("{user} and {user:lost}", gate="gate of {user}")])
    with ModelServer(script) as server:
        server.release("gate of found")
        server.release("gate of lost")
        async with model_on(server) as model:
            with pytest.raises(ModelServerError):
                await Agent(model).run("found")
            pieces = []
            for _ in range(2):
                with pytest.raises(ModelAPIError):
                    await read_words(model, pieces, "lost")
            assert pieces == ["lost "], "the second attempt is cut after its first word"


async def test_malformed_json(model_on, ask):
    with ModelServer(Script([fault(malformed=True), say("fine")])) as server:
        async with model_on(server) as model:
            with pytest.raises(ModelAPIError, match="decode"):
                await ask(Agent(model), "hi")
            assert (await ask(Agent(model), "hi")).output == "fine"


async def test_json_of_the_wrong_shape_is_not_an_answer(model_on):
    with ModelServer(Script([fault(malformed="shape", times=None)])) as server:
        async with model_on(server) as model:
            with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the client's affair
                await Agent(model).run("hi")
        assert server.requests[0].fault == "malformed shape"


async def test_an_unstreamed_answer_is_cut_in_its_middle(model_on):
    with ModelServer(Script([fault(cut_after=1), say("one two three")])) as server:
        async with model_on(server) as model:
            with pytest.raises(ModelConnectionError):
                await Agent(model).run("hi")
            assert (await Agent(model).run("hi")).output == "one two three"
        assert [(each.outcome, each.client_read_all) for each in server.requests] == [
            ("cut", False),
            ("sent", True),
        ]


@pytest.mark.parametrize(("after", "heard"), [(0, []), (2, ["one ", "two "]), (99, ["one ", "two ", "three"])])
async def test_a_stream_is_cut_after_so_many_pieces(model_on, after, heard):
    with ModelServer(Script([fault(cut_after=after), say("one two three")])) as server:
        async with model_on(server) as model:
            pieces = []
            with pytest.raises(ModelConnectionError):
                await read_words(model, pieces)
        assert pieces == heard
        assert server.requests[0].outcome == "cut"


async def test_tool_arguments_are_cut_in_the_middle_too(model_on):
    with ModelServer(Script([fault(cut_after=1), call("t", text="x" * 100), say("fine")])) as server:
        async with model_on(server) as model:
            agent = Agent(model)

            @agent.tool_plain
            def t(text: str) -> str:
                raise AssertionError("half of the arguments must not run")

            with pytest.raises(ModelConnectionError):
                await read_events(agent)


async def test_hanging_until_the_client_gives_up(model_on, ask):
    with ModelServer(Script([fault(hang=True), fault(hang_after=1), say("one two")])) as server:
        async with model_on(server, timeout_s=0.2) as model:
            for _ in range(2):
                with pytest.raises(ModelTimeoutError):
                    await ask(Agent(model), "hi")
            assert (await ask(Agent(model), "hi")).output == "one two"
        await server.until_requests(2, outcome="client_gone")
        assert [each.status for each in server.requests] == [None, 200, 200]


async def test_delays_are_waited_for(model_on, ask):
    script = Script([say("one two three", delay_s=0.05, delay_per_token_s=0.02)])
    with ModelServer(script) as server:
        async with model_on(server) as model:
            started = time.monotonic()
            await ask(Agent(model), "hi")
            # A lower bound only: what a slow machine adds cannot break it.
            assert time.monotonic() - started >= 0.11


async def test_a_slow_first_attempt_only(model_on, ask):
    with ModelServer(Script([fault(delay_s=60), say("quick")])) as server:
        async with model_on(server, timeout_s=0.2) as model:
            with pytest.raises(ModelTimeoutError):
                await ask(Agent(model), "hi")
        async with model_on(server) as model:
            assert (await ask(Agent(model), "hi")).output == "quick"


@pytest.mark.parametrize(
    "fields",
    [{}, {"status": 200}, {"status": 500, "hang": True}, {"retry_after": 1}, {"status": 500, "times": 0}],
)
def test_a_fault_that_means_nothing_is_refused(fields):
    with pytest.raises(ScriptError):
        fault(**fields)
