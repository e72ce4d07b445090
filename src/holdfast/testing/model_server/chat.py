"""Encodes an answer as the chat completions API does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from holdfast.testing.model_server.frames import Frame, event
from holdfast.testing.model_server.turn import RawUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.testing.model_server.answer import Answer, AnsweredCall


def chat_body(answer: Answer) -> dict[str, Any]:
    """The whole answer, unstreamed."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(each, each.arguments) for each in answer.tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
    return {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def chat_frames(answer: Answer, request: dict[str, Any]) -> Iterator[Frame]:
    """The answer as server-sent events; usage comes last, if `request` asks for it."""
    head = _head(answer, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, *, is_piece: bool = False) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**head, "choices": [choice]}, is_piece=is_piece)

    yield chunk({"role": "assistant", "content": "" if answer.text is not None else None})
    for piece in answer.text_pieces():
        yield chunk({"content": piece}, is_piece=True)
    for index, each in enumerate(answer.tool_calls):
        yield chunk({"tool_calls": [{"index": index, **_tool_call(each, "")}]})
        for piece in answer.argument_pieces(each.arguments):
            delta = {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            yield chunk(delta, is_piece=True)
    yield chunk({}, _finish_reason(answer))
    options = cast("dict[str, Any]", request.get("stream_options") or {})
    if options.get("include_usage") and (usage := _usage(answer)) is not None:
        yield event({**head, "choices": [], "usage": usage})
    yield Frame(b"data: [DONE]\n\n")


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.key}",
        "object": kind,
        "created": answer.created_s,
        "model": answer.model,
    }


def _finish_reason(answer: Answer) -> str:
    if answer.cut_short:
        return "length"
    return "tool_calls" if answer.tool_calls else "stop"


def _tool_call(tool_call: AnsweredCall, arguments: str) -> dict[str, Any]:
    function = {"name": tool_call.tool, "arguments": arguments}
    return {"id": tool_call.call_id, "type": "function", "function": function}


def _usage(answer: Answer) -> Any:
    usage = answer.usage
    if isinstance(usage, RawUsage):
        return usage.value
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
