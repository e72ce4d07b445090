from __future__ import annotations

import httpx2

from holdfast.testing import ModelServer, Script, call, calls, say

SCRIPT = [calls(call("a", x=1), call("b", y="zwei"), text="Let me see."), say("The end of it.")]
PATHS = {"chat": "/chat/completions", "responses": "/responses"}


def conversation(api, server, stream, opening="hi", **more):
    """The bytes of both answers of a conversation, held by hand so that no client can change them."""
    tool_call = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    turns = {
        "chat": [
            {"messages": [{"role": "user", "content": opening}]},
            {
                "messages": [
                    {"role": "user", "content": opening},
                    {"role": "assistant", "content": None, "tool_calls": [tool_call]},
                    {"role": "tool", "tool_call_id": "c1", "content": "1"},
                ]
            },
        ],
        "responses": [
            {"input": opening},
            {
                "input": [
                    {"role": "user", "content": opening},
                    {"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "1"},
                ]
            },
        ],
    }[api]
    answers = [
        httpx2.post(server.url + PATHS[api], json={"model": "gpt-5", "stream": stream, **more, **turn})
        for turn in turns
    ]
    assert {each.status_code for each in answers} == {200}
    return [each.content for each in answers]


def test_equal_conversations_get_equal_bytes(api, stream):
    with ModelServer(Script(SCRIPT)) as one:
        first, second = conversation(api, one, stream), conversation(api, one, stream)
    with ModelServer(Script(SCRIPT)) as another:
        third = conversation(api, another, stream)
    assert first == second == third
    assert first[0] != first[1]


def test_other_conversations_get_other_ids(api, stream):
    with ModelServer(Script(SCRIPT)) as server:
        plain = conversation(api, server, stream)
        others = [
            conversation(api, server, stream, opening="hello"),
            conversation(api, server, stream, user="u1"),
            conversation(api, server, stream, metadata={"run": "r1"}),
        ]
        assert len({each.conversation for each in server.requests}) == 4
    assert all(other[0] != plain[0] for other in others)


def test_a_system_prompt_with_a_clock_does_not_change_the_conversation():
    with ModelServer(Script(SCRIPT)) as server:
        first, second = (
            httpx2.post(server.url + "/responses", json={"model": "m", "input": "hi", "instructions": f"it is {hour}"})
            for hour in ("ten", "two")
        )
        assert first.json()["id"] == second.json()["id"]
        assert [each.attempt for each in server.requests] == [1, 2]
