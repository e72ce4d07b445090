"""What is left of a conversation is one still: the framework finds nothing in it to repair, whatever is withdrawn."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    repair_messages,
)

from holdfast.engine.withholding import REQUEST_WITHDRAWN, RESPONSE_WITHDRAWN, RETURN_WITHDRAWN, withhold

AT = datetime(2026, 1, 1, tzinfo=UTC)


def ask(text: str, *, system: bool = False, returns: tuple[str, ...] = ()) -> ModelRequest:
    parts: list[Any] = [SystemPromptPart("be kind", timestamp=AT)] if system else []
    parts += [ToolReturnPart("look", f"result of {text}", call, timestamp=AT) for call in returns]
    if not returns:
        parts.append(UserPromptPart(text, timestamp=AT))
    return ModelRequest(parts=parts, timestamp=AT)


def answer(text: str, *calls: str) -> ModelResponse:
    said: list[Any] = [ToolCallPart("look", {"for": text}, call) for call in calls] or [TextPart(text)]
    return ModelResponse(parts=said, timestamp=AT, provider_response_id=f"resp {text}")


TURN = [ask("q1", system=True), answer("a1"), ask("q2"), answer("c2", "x"), ask("r2", returns=("x",)), answer("a2")]


def told(messages: list[ModelMessage], *withdrawn: int) -> list[str]:
    """What is given, message by message, in short."""
    short = {REQUEST_WITHDRAWN: "[q]", RESPONSE_WITHDRAWN: "[a]", RETURN_WITHDRAWN: "[r]", "be kind": "sys"}
    given = [message for message in withhold(messages, set(withdrawn)) if message is not None]
    return [
        "+".join(
            f"call {part.tool_call_id}"
            if isinstance(part, ToolCallPart)
            else short.get(str(part.content), str(part.content))  # pyright: ignore[reportAttributeAccessIssue]
            for part in message.parts
        )
        for message in given
    ]


@pytest.mark.parametrize(
    ("withdrawn", "left"),
    [
        ((), ["sys+q1", "a1", "q2", "call x", "result of r2", "a2"]),
        ((0,), ["sys+[q]", "a1", "q2", "call x", "result of r2", "a2"]),
        ((1,), ["sys+q1", "[a]", "q2", "call x", "result of r2", "a2"]),
        ((0, 1), ["sys+[q]", "[a]", "q2", "call x", "result of r2", "a2"]),
        ((2,), ["sys+q1", "a1", "[q]", "call x", "result of r2", "a2"]),
        ((4,), ["sys+q1", "a1", "q2", "call x", "[r]", "a2"]),
        ((3,), ["sys+q1", "a1", "q2", "a2"]),
        ((3, 4, 5), ["sys+q1", "a1", "q2", "[a]"]),
        ((5,), ["sys+q1", "a1", "q2", "call x", "result of r2", "[a]"]),
        ((2, 3, 4, 5), ["sys+q1", "a1"]),
        ((0, 1, 2, 3, 4, 5), ["sys+[q]", "[a]"]),
    ],
)
def test_what_is_left_of_a_conversation(withdrawn, left):
    assert told(TURN, *withdrawn) == left


def test_all_of_a_conversation_without_a_system_prompt_leaves_nothing():
    assert told(TURN[2:], 0, 1, 2, 3) == []


def test_a_provider_is_not_led_back_to_what_was_withdrawn():
    given = withhold(TURN, {1})[1]
    assert isinstance(given, ModelResponse)
    assert given.provider_response_id is None


@st.composite
def conversations(draw: st.DrawFn) -> list[ModelMessage]:
    """Turns of a prompt, any number of calls with their returns, and an answer; ids come again, as providers' do."""
    found: list[ModelMessage] = []
    for turn in range(draw(st.integers(1, 4))):
        found.append(ask(f"q{turn}", system=turn == 0 and draw(st.booleans())))
        for step in range(draw(st.integers(0, 3))):
            calls = tuple(draw(st.sets(st.sampled_from("xyz"), min_size=1, max_size=2)))
            found += [answer(f"c{turn}.{step}", *calls), ask(f"r{turn}.{step}", returns=calls)]
        if turn == 0 or draw(st.booleans()):
            found.append(answer(f"a{turn}"))
        else:
            # As a run ends whose output is a tool's.
            found += [answer(f"o{turn}", "o"), ask(f"done{turn}", returns=("o",)), answer(f"a{turn}")]
    return found


@settings(max_examples=1000, deadline=None)
@given(data=st.data(), messages=conversations())
def test_whatever_is_withdrawn_the_rest_is_valid_and_says_nothing_of_it(data, messages):
    withdrawn = data.draw(st.sets(st.integers(0, len(messages) - 1)))
    given = withhold(messages, withdrawn)
    left = [message for message in given if message is not None]
    repaired = repair_messages(left)
    assert [id(message) for message in repaired] == [id(message) for message in left], "nothing had to be repaired"
    kinds = [message.kind for message in left]
    assert kinds == ["request", "response"] * (len(kinds) // 2), "requests and responses take turns"
    text = str(left)
    for place, message in enumerate(messages):
        if place in withdrawn:
            said = [part for part in message.parts if not isinstance(part, SystemPromptPart)]
            assert not any(repr(part) in text for part in said)
            assert given[place] is not message
        elif given[place] is not message:
            assert isinstance(message, ModelRequest), "only a return goes without being withdrawn: with its call"
    assert text.count("be kind") == str(messages).count("be kind")
