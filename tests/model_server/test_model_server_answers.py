from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelRequestRejectedError, UnexpectedModelBehavior
from pydantic_ai.messages import RetryPromptPart, ToolCallPart, ToolReturnPart

from holdfast.testing import (
    ModelServer,
    RawUsage,
    Route,
    Script,
    ScriptError,
    ToolCall,
    Usage,
    call,
    calls,
    output,
    say,
)


class Refund(BaseModel):
    order: str
    amount: int


class Refusal(BaseModel):
    reason: str


def parts(result, kind):
    return [part for message in result.all_messages() for part in message.parts if isinstance(part, kind)]


async def test_an_answer_in_words(model_on, ask):
    with ModelServer({"gpt-5": Script([say("You have 5 pounds.")])}) as server:
        async with model_on(server) as model:
            result = await ask(Agent(model), "How much?")
    assert result.output == "You have 5 pounds."
    assert result.response.finish_reason == "stop"


async def test_a_tool_result_finds_its_way_into_the_next_turns(model_on, ask):
    script = Script(
        [
            call("get_balance", account="{user:account (\\d+)}"),
            call("convert", amount="{tool_result.pence}"),
            say("{result_of.get_balance.currency} {tool_result}, turn {turn}, as {json: true}"),
        ]
    )
    seen = []
    with ModelServer({"gpt-5": script}) as server:
        async with model_on(server) as model:
            agent = Agent(model)

            @agent.tool_plain
            def get_balance(account: str) -> dict[str, int | str]:
                seen.append(account)
                return {"pence": 512, "currency": "GBP"}

            @agent.tool_plain
            def convert(amount: int) -> float:
                seen.append(amount)
                return amount / 100

            result = await ask(agent, "What is on account 77 please?")
    assert seen == ["77", 512]
    sent = [each.args_as_dict() for each in parts(result, ToolCallPart)]
    assert sent == [{"account": "77"}, {"amount": 512}], "a whole placeholder keeps its JSON type"
    assert result.output == "GBP 5.12, turn 3, as {json: true}"


async def test_parallel_calls_come_in_one_answer(model_on, ask):
    script = Script([calls(call("add", a=1), call("add", a=2), call("add", a=3), text="Adding."), say("done")])
    started, everyone = [], asyncio.Event()
    with ModelServer({"gpt-5": script}) as server:
        async with model_on(server) as model:
            agent = Agent(model)

            @agent.tool_plain
            async def add(a: int) -> int:
                started.append(a)
                if len(started) == 3:
                    everyone.set()
                await everyone.wait()  # passes only if all three run at once
                return a

            result = await ask(agent, "add")
        assert server.count() == 2
    assert sorted(started) == [1, 2, 3]
    made = parts(result, ToolCallPart)
    assert [each.args_as_dict() for each in made] == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert len({each.tool_call_id for each in made}) == 3
    assert result.all_messages()[1].text == "Adding."


async def test_a_tool_that_does_not_exist_and_arguments_of_the_wrong_type(model_on, ask):
    script = Script(
        [call("no_such_tool", x=1), call("add", a=["not", "a", "number"]), call("add", "{broken"), say("ok")]
    )
    with ModelServer({"gpt-5": script}) as server:
        async with model_on(server) as model:
            agent = Agent(model, retries=5)

            @agent.tool_plain
            def add(a: int) -> int:
                raise AssertionError("never called: no call was valid")

            result = await ask(agent, "add")
    assert result.output == "ok"
    told = "".join(
        str(part.content)
        for message in result.all_messages()
        for part in message.parts
        if isinstance(part, RetryPromptPart | ToolReturnPart)
    )
    assert "no_such_tool" in told
    assert "int_type" in told or "valid integer" in told
    assert "json_invalid" in told or "Invalid JSON" in told


@pytest.mark.parametrize(
    "wrap",
    [lambda t: t, ToolOutput, NativeOutput, PromptedOutput],
    ids=["plain", "tool", "native", "prompted"],
)
async def test_structured_output_in_the_way_the_agent_asks_for_it(model_on, ask, wrap):
    with ModelServer({"gpt-5": Script([output({"order": "o1", "amount": 3})])}) as server:
        async with model_on(server) as model:
            result = await ask(Agent(model, output_type=wrap(Refund)), "refund")
    assert result.output == Refund(order="o1", amount=3)


@pytest.mark.parametrize("wrap", [lambda t: t, NativeOutput], ids=["tool", "native"])
async def test_a_plain_value_as_structured_output(model_on, ask, wrap):
    with ModelServer({"gpt-5": Script([output("red")])}) as server:
        async with model_on(server) as model:
            result = await ask(Agent(model, output_type=wrap(Literal["red", "blue"])), "colour?")
    assert result.output == "red"


async def test_of_several_output_tools_the_one_that_fits(model_on, ask):
    with ModelServer({"gpt-5": Script([output({"reason": "no"})])}) as server:
        async with model_on(server) as model:
            result = await ask(Agent(model, output_type=[Refund, Refusal]), "refund")
    assert result.output == Refusal(reason="no")


async def test_output_for_no_output_tool_is_refused_with_the_names(model_on):
    with ModelServer(
        {
            "gpt-5": Script(
                [
                    output({"nothing": 1}),
                ]
            )
        }
    ) as server:
        async with model_on(server) as model:
            with pytest.raises(ModelRequestRejectedError, match="final_result_Refund, final_result_Refusal"):
                await Agent(model, output_type=[Refund, Refusal]).run("refund")


async def test_a_function_decides_from_the_conversation(model_on, ask):
    def decide(request):
        if request.new_results:
            return say(f"{request.user}: {request.new_results[-1].value['n']} by {request.new_results[-1].tool}")
        assert request.tools[0].name == "count"
        assert "be brief" in request.system
        return call("count")

    with ModelServer({"gpt-5": Script(decide)}) as server:
        async with model_on(server) as model:
            agent = Agent(model, instructions="be brief")

            @agent.tool_plain
            def count() -> dict[str, int]:
                return {"n": 4}

            result = await ask(agent, "how many")
            again = await ask(agent, "and now", message_history=result.all_messages())
        assert server.count() == 4, "the second prompt has to ask for results of its own"
    assert result.output == "how many: 4 by count"
    assert again.output == "and now: 4 by count"


async def test_a_session_goes_on_in_the_same_script(model_on, ask):
    with ModelServer(Script(["first", "second"])) as server:
        async with model_on(server) as model:
            agent = Agent(model)
            first = await ask(agent, "hello")
            second = await ask(agent, "more", message_history=first.all_messages())
            assert len({each.conversation for each in server.requests}) == 1
            assert (first.output, second.output) == ("first", "second")
            with pytest.raises(ModelRequestRejectedError, match=r"ends after turn 2 .* asks for turn 3"):
                await ask(agent, "more", message_history=second.all_messages())
        assert server.requests[-1].error is not None


@pytest.mark.parametrize(("repeat", "said"), [("last", "abbb"), ("all", "abab")])
async def test_a_script_may_repeat(model_on, ask, repeat, said):
    with ModelServer(Script(["a", "b"], repeat=repeat)) as server:
        async with model_on(server) as model:
            history, heard = [], ""
            for _ in range(4):
                result = await ask(Agent(model), "go on", message_history=history)
                history, heard = result.all_messages(), heard + result.output
    assert heard == said


async def test_routes_by_model_system_prompt_and_opening_text(model_on, ask):
    routes = [
        Route(script=Script(["card desk"]), model="gpt-5*", user="lost.*card", name="cards"),
        Route(script=Script(["pirate"]), system="talk like a pirate"),
        Route(script=Script(["small"]), model="gpt-5-mini"),
    ]
    with ModelServer(routes) as server:
        async with model_on(server, "gpt-5-mini") as model:
            assert (await ask(Agent(model), "I LOST my bank card")).output == "card desk"
            assert (await ask(Agent(model, instructions="Talk like a pirate!"), "hi")).output == "pirate"
            assert (await ask(Agent(model), "hi")).output == "small"
        async with model_on(server, "gpt-6") as model:
            with pytest.raises(ModelRequestRejectedError, match="no script takes model 'gpt-6'"):
                await ask(Agent(model), "hi")
        assert server.count(script="cards") == 1


async def test_usage_is_derived_or_set_and_equal_in_both_deliveries(model_on, ask):
    with ModelServer(Script(["four", say("x", usage=Usage(1000, 200, cached_tokens=900))])) as server:
        async with model_on(server) as model:
            first = await ask(Agent(model), "12345678")
            assert (first.usage.input_tokens, first.usage.output_tokens) == (2, 1)
            second = await ask(Agent(model), "more", message_history=first.all_messages())
    usage = second.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (1000, 200, 900)


async def test_usage_may_be_unsaid_and_an_answer_be_cut_short(model_on, ask):
    script = Script([say("x", usage=Usage(9, 2, cache_write_tokens=8)), say("y", usage=RawUsage(None), cut_short=True)])
    with ModelServer(script) as server:
        async with model_on(server) as model:
            first = await ask(Agent(model), "hi")
            second = await ask(Agent(model), "more", message_history=first.all_messages())
    assert first.usage.cache_write_tokens == 8
    [response] = [part for part in second.new_messages() if part.kind == "response"]
    assert response.usage.unmeasured_requests == 1
    assert response.finish_reason == "length"


async def test_ids_are_unique_in_a_run_and_may_be_set(model_on, ask):
    script = Script([calls(call("t"), call("t")), calls(ToolCall("t", {}, "mine")), say("end")])
    with ModelServer(script) as server:
        async with model_on(server) as model:
            agent = Agent(model)

            @agent.tool_plain
            def t() -> str:
                return "t"

            ids = [part.tool_call_id for part in parts(await ask(agent, "go"), ToolCallPart)]
        conversation = server.requests[0].conversation
    assert ids == [f"call_{conversation}_1_1", f"call_{conversation}_1_2", "mine"]


async def test_agents_by_name_through_the_environment(monkeypatch, api, ask):
    with ModelServer({"gpt-5": Script([say("hello")])}) as server:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        agent = Agent("openai:gpt-5" if api == "responses" else "openai-chat:gpt-5")
        async with agent:
            assert (await ask(agent, "hi")).output == "hello"
        wanted = "/v1/responses" if api == "responses" else "/v1/chat/completions"
        assert [each.path for each in server.requests] == [wanted]


async def test_a_stream_arrives_in_words_or_characters(model_on):
    routes = [
        Route(script=Script(["one two  three"]), model="words"),
        Route(script=Script(["abc"], stream_by="character"), model="characters"),
    ]
    with ModelServer(routes) as server:
        for name, expected in (("words", ["one ", "two  ", "three"]), ("characters", ["a", "b", "c"])):
            async with model_on(server, name) as model, Agent(model).run_stream("go") as result:
                heard = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            assert heard == expected


async def test_a_function_that_raises_is_not_retried(model_on):
    def broken(_request):
        raise KeyError("oops")

    with ModelServer(Script(broken)) as server:
        async with model_on(server, max_retries=3) as model:
            with pytest.raises(ModelRequestRejectedError, match="the script's function raised KeyError: 'oops'"):
                await Agent(model).run("hi")
        assert server.count() == 1


async def test_a_placeholder_without_a_value_names_itself(model_on):
    with ModelServer(Script(["{tool_result.amount}"])) as server:
        async with model_on(server) as model:
            with pytest.raises(ModelRequestRejectedError, match=r"\{tool_result.amount\}: no result of any tool"):
                await Agent(model).run("hi")


async def test_output_retries_end_as_they_do_with_a_real_provider(model_on, ask):
    with ModelServer(Script([output({"order": "o", "amount": "many"})], repeat="last")) as server:
        async with model_on(server) as model:
            with pytest.raises(UnexpectedModelBehavior, match="retries"):
                await ask(Agent(model, output_type=Refund, retries=2), "refund")
        assert server.count() == 3


def test_scripts_that_mean_nothing_are_refused_when_written():
    for wrong in (lambda: Script([]), lambda: Script([42]), lambda: say("x", gate_after=2), calls):
        with pytest.raises(ScriptError):
            wrong()
