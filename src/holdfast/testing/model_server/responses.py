"""Encodes an answer as the responses API does."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from holdfast.testing.model_server.frames import Frame, event
from holdfast.testing.model_server.turn import RawUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.testing.model_server.answer import Answer, AnsweredCall


def responses_body(answer: Answer) -> dict[str, Any]:
    """The whole answer, unstreamed."""
    items = [] if answer.text is None else [_message(answer, answer.text, "completed")]
    items += [_function_call(each, each.arguments, "completed") for each in answer.tool_calls]
    body = {**_head(answer, _status(answer)), "output": items, "usage": _usage(answer)}
    return body | {"incomplete_details": {"reason": "max_output_tokens"}} if answer.cut_short else body


def responses_frames(answer: Answer) -> Iterator[Frame]:
    """The answer as server-sent events, numbered from 0."""
    numbers = count()

    def numbered(kind: str, *, is_piece: bool = False, **fields: Any) -> Frame:
        return event({"type": kind, "sequence_number": next(numbers), **fields}, is_piece=is_piece)

    begun: dict[str, Any] = {**_head(answer, "in_progress"), "output": [], "usage": None}
    yield numbered("response.created", response=begun)
    yield numbered("response.in_progress", response=begun)
    index = 0
    for kind, fields in _items(answer):
        is_piece = kind.endswith(".delta")
        yield numbered(kind, is_piece=is_piece, output_index=index, **fields)
        index += kind == "response.output_item.done"
    yield numbered(f"response.{_status(answer)}", response=responses_body(answer))


def _items(answer: Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    if answer.text is not None:
        yield from _message_events(answer, answer.text)
    for each in answer.tool_calls:
        yield from _function_call_events(answer, each)


def _message_events(answer: Answer, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    begun: dict[str, Any] = {**_message(answer, "", "in_progress"), "content": []}
    done = _message(answer, text, "completed")
    at = {"item_id": done["id"], "content_index": 0}
    yield "response.output_item.added", {"item": begun}
    yield "response.content_part.added", {**at, "part": _text_part("")}
    for piece in answer.text_pieces():
        yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**at, "text": text, "logprobs": []}
    yield "response.content_part.done", {**at, "part": _text_part(text)}
    yield "response.output_item.done", {"item": done}


def _function_call_events(answer: Answer, tool_call: AnsweredCall) -> Iterator[tuple[str, dict[str, Any]]]:
    at = {"item_id": tool_call.item_id}
    yield "response.output_item.added", {"item": _function_call(tool_call, "", "in_progress")}
    for piece in answer.argument_pieces(tool_call.arguments):
        yield "response.function_call_arguments.delta", {**at, "delta": piece}
    yield (
        "response.function_call_arguments.done",
        {**at, "arguments": tool_call.arguments, "name": tool_call.tool},
    )
    yield "response.output_item.done", {"item": _function_call(tool_call, tool_call.arguments, "completed")}


def _head(answer: Answer, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.key}",
        "object": "response",
        "created_at": answer.created_s,
        "model": answer.model,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _status(answer: Answer) -> str:
    return "incomplete" if answer.cut_short else "completed"


def _message(answer: Answer, text: str, status: str) -> dict[str, Any]:
    content = [_text_part(text)]
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _function_call(tool_call: AnsweredCall, arguments: str, status: str) -> dict[str, Any]:
    return {
        "id": tool_call.item_id,
        "type": "function_call",
        "status": status,
        "call_id": tool_call.call_id,
        "name": tool_call.tool,
        "arguments": arguments,
    }


def _usage(answer: Answer) -> Any:
    usage = answer.usage
    if isinstance(usage, RawUsage):
        return usage.value
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
