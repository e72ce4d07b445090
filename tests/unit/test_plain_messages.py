"""Plain messages are stored as Pydantic would write them, byte for byte."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from holdfast.engine import plain
from holdfast.engine.codec import dump_message, load_message

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Found(BaseModel):
    n: int


def call(**more: Any) -> ToolCallPart:
    return ToolCallPart("look", {"item": 1, "what": "é\u2028", "no": None}, tool_call_id="c", **more)


MESSAGES = [
    ModelRequest(parts=[UserPromptPart("hi", timestamp=WHEN)], instructions="x", timestamp=WHEN, run_id="r"),
    ModelRequest(parts=[SystemPromptPart("s"), UserPromptPart("é\n\u2028\\")], conversation_id="c"),
    ModelRequest(parts=[ToolReturnPart("t", "v", tool_call_id="c", timestamp=WHEN + timedelta(microseconds=500_000))]),
    ModelRequest(parts=[ToolReturnPart("t", 2**53 + 1, tool_call_id="c"), ToolReturnPart("t", None, tool_call_id="d")]),
    ModelRequest(parts=[ToolReturnPart("t", 2**70, tool_call_id="c")]),
    ModelRequest(parts=[ToolReturnPart("t", Found(n=1), tool_call_id="c")]),
    ModelRequest(parts=[ToolReturnPart("t", [{"a": 0.5}], tool_call_id="c", metadata={"at": WHEN})]),
    ModelRequest(parts=[UserPromptPart("hi", timestamp=datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))))]),
    ModelResponse(parts=[call(), TextPart("said", id="1", provider_name="p")], timestamp=WHEN, model_name="m"),
    ModelResponse(parts=[call(provider_details={"a": WHEN}, id="i")]),
    ModelResponse(parts=[ToolCallPart("t", '{"a":1}', tool_call_id="c")], usage=RequestUsage(input_tokens=3)),
    ModelResponse(parts=[ToolCallPart("t", {"deep": {"a": 0.1}}, tool_call_id="c")]),
    ModelResponse(parts=[TextPart("x")], usage=RequestUsage(output_tokens=1, details={"reasoning": 2})),
    ModelResponse(parts=[TextPart("x")], usage=RequestUsage(cost=Decimal("0.0001"))),
    ModelResponse(parts=[ThinkingPart("hm", signature="s"), TextPart("x")], finish_reason="stop", run_id="r"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_as_pydantic_writes_it(message, monkeypatch):
    monkeypatch.setattr(plain, "_alike", {})
    by_pydantic = TypeAdapter(type(message)).dump_json(message)
    assert dump_message(message) == by_pydantic
    assert dump_message(message) == by_pydantic, "the second time without Pydantic"
    assert type(load_message(by_pydantic)) is type(message)


def test_what_most_messages_hold_needs_no_pydantic(monkeypatch):
    monkeypatch.setattr(plain, "_alike", {})
    for message in (MESSAGES[0], MESSAGES[2], MESSAGES[8]):
        dump_message(message)
    assert all(plain._alike.values())
    assert len(plain._alike) == 3


def test_where_the_two_differ_pydantic_writes(monkeypatch):
    """Another version of the framework may write a message otherwise."""
    monkeypatch.setattr(plain, "_alike", {})
    assert plain.dump_plain(MESSAGES[0], lambda _message: b"otherwise") is None
    assert plain.dump_plain(MESSAGES[0], lambda _message: b"otherwise") is None


def test_a_lone_surrogate_is_left_to_others(monkeypatch):
    monkeypatch.setattr(plain, "_alike", {})
    message = ModelRequest(parts=[UserPromptPart("half \ud83d")])
    assert load_message(dump_message(message)).parts[0].content == "half \ud83d"
