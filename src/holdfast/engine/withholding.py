"""What is left of a conversation once some of its messages are withdrawn. Pure.

What is left has to be a conversation still, or providers refuse it:

- A call of a tool keeps its return and a return its call. A withdrawn return becomes a short text that says so; with
  a withdrawn response go its calls and what they returned.
- Requests and responses take turns as they did, and no response comes first. Where leaving a message out would end
  that, a short text stands in its place. (The framework would merge neighbours into a message of its own.)
- What nobody said stays: the system prompt, and what the framework notes of tools, instructions and settings.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

RETURN_WITHDRAWN = "The result of this call was withdrawn and is not to be relied on."
REQUEST_WITHDRAWN = "What was said here was withdrawn."
RESPONSE_WITHDRAWN = "What was answered here was withdrawn."

_NO_TIME = datetime.fromtimestamp(0, UTC)
_SAID = frozenset({"user-prompt", "speech", "retry-feedback", "retry-prompt", "compaction"})
"""Parts of a request that somebody said, beside what tools returned."""
_NOTED = frozenset({"tool-search", "capability-load"})
"""Kinds of tools by which the framework keeps which tools there are: what they returned is nobody's."""


def withhold(messages: Sequence[ModelMessage], withdrawn: Container[int]) -> list[ModelMessage | None]:
    """Each message as it is given: itself, another in its place, or None.

    Args:
        messages: the conversation.
        withdrawn: the positions of those that are withdrawn.
    """
    return _alternating(messages, _paired(messages, withdrawn))


def _paired(messages: Sequence[ModelMessage], withdrawn: Container[int]) -> list[ModelMessage | None]:
    found: list[ModelMessage | None] = []
    gone: dict[str, bool] = {}
    for place, message in enumerate(messages):
        if isinstance(message, ModelRequest):
            found.append(_request(message, gone, withdrawn=place in withdrawn))
            continue
        # Ids are a provider's to make up and may come again: the last call of an id is the one that is answered.
        gone |= {part.tool_call_id: place in withdrawn for part in message.parts if isinstance(part, ToolCallPart)}
        found.append(None if place in withdrawn else message)
    return found


def _request(message: ModelRequest, gone: dict[str, bool], *, withdrawn: bool) -> ModelRequest | None:
    parts = list[ModelRequestPart]()
    for part in message.parts:
        call = getattr(part, "tool_call_id", None)
        if call is not None and gone.get(call, False):
            continue
        if not withdrawn:
            parts.append(part)
        elif isinstance(part, ToolReturnPart) and part.tool_kind not in _NOTED:
            parts.append(ToolReturnPart(part.tool_name, RETURN_WITHDRAWN, part.tool_call_id, timestamp=part.timestamp))
        elif part.part_kind not in _SAID:
            parts.append(part)
    if parts == list(message.parts):
        return message
    return replace(message, parts=parts) if parts else None


def _alternating(messages: Sequence[ModelMessage], left: list[ModelMessage | None]) -> list[ModelMessage | None]:
    found = list(left)
    last: int | None = None
    for place, message in enumerate(left):
        if message is not None:
            _bridge(messages, found, last, place, to_response=isinstance(message, ModelResponse))
            last = place
    # What comes next is the prompt of the run.
    _bridge(messages, found, last, len(messages), to_response=False)
    return found


def _bridge(
    messages: Sequence[ModelMessage],
    found: list[ModelMessage | None],
    last: int | None,
    place: int,
    *,
    to_response: bool,
) -> None:
    """Let what is given at `last` and next at `place` take turns, by a text where something was left out between."""
    before = None if last is None else found[last]
    between = range(0 if last is None else last + 1, place)
    if not to_response:
        answers = [at for at in between if isinstance(messages[at], ModelResponse)]
        if not answers or not isinstance(before, ModelRequest):
            return
        found[answers[-1]] = _answer(messages[answers[-1]])
    if last is not None and isinstance(before, ModelRequest):
        if before is not messages[last] and not _speaks(before):
            found[last] = _question(messages[last], before)
        return
    asked = [at for at in between if isinstance(messages[at], ModelRequest)]
    if asked:
        found[asked[-1]] = _question(messages[asked[-1]], None)


def _speaks(message: ModelRequest) -> bool:
    return any(isinstance(part, ToolReturnPart) or part.part_kind in _SAID for part in message.parts)


def _question(original: ModelMessage, kept: ModelMessage | None) -> ModelRequest:
    assert isinstance(original, ModelRequest)
    said = UserPromptPart(REQUEST_WITHDRAWN, timestamp=original.timestamp or _NO_TIME)
    return replace(original, parts=[*(kept.parts if isinstance(kept, ModelRequest) else ()), said])


def _answer(original: ModelMessage) -> ModelResponse:
    assert isinstance(original, ModelResponse)
    # Without its provider's names for it: by those the provider could still find what was withdrawn.
    said = [TextPart(RESPONSE_WITHDRAWN)]
    return replace(original, parts=said, provider_response_id=None, provider_details=None)
