from __future__ import annotations

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelServerError

from holdfast.testing import ModelServer, ScriptFileError, ScriptRequest, Usage, fault, load_routes, parse_routes, say

EVERYTHING = """
scripts:
  - name: bank
    model: gpt-5*
    user: balance
    turns:
      - say: Let me look.
        calls:
          - get_balance: {account: "{user:account ([0-9]+)}"}
          - get_balance: {account: "2"}
          - today
        fault:
          - {status: 429, retry_after: 0.01, times: 1}
          - {status: 500, retry_after: 0.01}
        usage: {input_tokens: 100, output_tokens: 20}
      - output: {text: "{result_of.get_balance}", ok: true}
        gate: answer
        delay_s: 0.001
        delay_per_token_s: 0.0001
  - system: poet
    repeat: last
    stream_by: character
    turns:
      - say: Roses
"""


class Answer(BaseModel):
    text: str
    ok: bool


async def test_all_of_it_in_yaml(model_on, ask):
    with ModelServer(parse_routes(EVERYTHING)) as server:
        async with model_on(server, max_retries=2) as model:
            agent, asked = Agent(model, output_type=Answer), []

            @agent.tool_plain
            def get_balance(account: str) -> str:
                asked.append(account)
                return f"{account} pounds"

            @agent.tool_plain
            def today() -> str:
                return "Friday"

            server.release("answer")
            result = await ask(agent, "balance of account 41")
            assert (await ask(Agent(model, instructions="You are a poet"), "hi")).output == "Roses"
        assert sorted(asked) == ["2", "41"]
        assert result.output == Answer(text="2 pounds", ok=True)
        assert result.usage.input_tokens >= 100
        assert [each.status for each in server.requests] == [429, 500, 200, 200, 200]
        assert [each.script for each in server.requests] == ["bank"] * 4 + ["*#1"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("turns:\n  - say: a\n    fault:\n      hang: 1", 4, "turns[0].fault[0].hang: Input should be a valid bool"),
        ("turns: []", 1, "turns: List should have at least 1 item"),
        ("turns:\n  - sey: hello", 2, "turns[0].sey: Extra inputs are not permitted"),
        ("turns:\n  - say: hello\n  - say: 5", 3, "turns[1].say: Input should be a valid string"),
        (
            "turns:\n  - say: a\n    fault: {status: '429'}",
            3,
            "turns[0].fault[0].status: Input should be a valid int",
        ),
        (
            "turns:\n  - fault:\n      status: 200",
            2,
            "turns[0]: fault status 200 is not an HTTP error: use 400 to 599",
        ),
        (
            "turns:\n  - call: {a: {}, b: {}}",
            2,
            "turns[0].call: write a tool name, or one tool with its arguments",
        ),
        ("turns:\n  - calls:\n      - ok\n      - 7", 4, "turns[0].calls[1]: write a tool name, or"),
        ("turns:\n  - say: a\n  -\n    gate: g", 4, "turns[1]: the turn neither answers nor fails"),
        ("turns:\n  - {say: a, output: {}}", 2, "turns[0]: output stands alone"),
        ("turns:\n  - {call: a, calls: [b]}", 2, "turns[0]: call is for one call and calls for several"),
        (
            "scripts:\n  - turns: [{say: a}]\n  - repeat: often\n    turns: [{say: b}]",
            3,
            "scripts[1].repeat: Input",
        ),
        ("scripts:\n  - user: '('\n    turns: [{say: a}]", 2, "scripts[0].user: not a regular expression"),
        ("- say: a", 1, "Input should be"),
        ("", 1, "Input should be"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, line, problem):
    with pytest.raises(ScriptFileError) as caught:
        parse_routes(text, name="bank.yaml")
    assert caught.value.path == "bank.yaml"
    [told] = caught.value.problems
    assert told.startswith(f"line {line}: ")
    assert problem in told
    assert str(caught.value).startswith("bank.yaml is not a valid model script:\n")


def test_all_mistakes_at_once():
    with pytest.raises(ScriptFileError) as caught:
        parse_routes("turns:\n  - sey: a\n  - say: 1\n")
    assert len(caught.value.problems) == 2


def test_what_is_not_yaml_or_not_there(tmp_path):
    with pytest.raises(ScriptFileError, match="not YAML"):
        parse_routes("turns: [")
    with pytest.raises(ScriptFileError, match="cannot be read"):
        load_routes(tmp_path / "none.yaml")


def test_every_option_of_a_turn_means_what_it_means_in_python():
    [route] = parse_routes("""
repeat: last
stream_by: whole
turns:
  - say: x
    gate: g
    gate_after: 2
    delay_s: 1.5
    delay_per_token_s: 0.5
    usage: {input_tokens: 1, output_tokens: 2, cached_tokens: 3}
    fault: {cut_after: 1, hang_after: 2, delay_s: 3, delay_per_token_s: 4, times: 5}
""")
    assert route.script.stream_by == "whole"
    assert route.script.turn_for(ScriptRequest(api="chat", model="m", body={}, turn=9)) == say(
        "x",
        gate="g",
        gate_after=2,
        delay_s=1.5,
        delay_per_token_s=0.5,
        usage=Usage(1, 2, cached_tokens=3),
        fault=fault(cut_after=1, hang_after=2, delay_s=3, delay_per_token_s=4, times=5),
    )


async def test_a_fault_for_always(model_on):
    with ModelServer(parse_routes("turns: [{say: never, fault: {status: 500, times: always}}]")) as server:
        async with model_on(server) as model:
            for _ in range(3):
                with pytest.raises(ModelServerError):
                    await Agent(model).run("hi")


def test_a_null_output_is_an_output():
    parse_routes("turns: [{output: null}]")
