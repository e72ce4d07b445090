"""Makes a scripted turn the answer both APIs can encode: ids, pieces and usage are derived, never random."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from holdfast.testing.model_server.errors import ScriptError
from holdfast.testing.model_server.turn import Output, RawUsage, ToolCall, Turn, Usage

if TYPE_CHECKING:
    from holdfast.testing.model_server.conversation import OfferedTool, ScriptRequest
    from holdfast.testing.model_server.script import StreamBy

# Answers carry no wall clock, so that equal conversations get equal bytes; the second is the turn's number.
_EPOCH_S = 1_750_000_000
_BYTES_PER_TOKEN = 4
_ARGUMENT_PIECE = 12
_WORDS = re.compile(r"\S+\s*|\s+")
# Pydantic AI names output tools freely, but this sentence is in the description of every one it makes itself.
_OUTPUT_TOOL = "The final response which ends this conversation"


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call with its id and its arguments as the text that is sent."""

    call_id: str
    item_id: str
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """All a provider answers to one request."""

    key: str  # conversation and turn; the ids of the answer are made of it
    model: str
    created_s: int
    text: str | None
    tool_calls: tuple[AnsweredCall, ...]
    usage: Usage | RawUsage
    stream_by: StreamBy
    cut_short: bool

    def text_pieces(self) -> list[str]:
        """The text as it is streamed."""
        match self.stream_by:
            case "word":
                return _WORDS.findall(self.text or "")
            case "character":
                return list(self.text or "")
            case "whole":
                return [self.text] if self.text else []

    def argument_pieces(self, arguments: str) -> list[str]:
        """Arguments as they are streamed."""
        size = {"word": _ARGUMENT_PIECE, "character": 1, "whole": len(arguments) or 1}[self.stream_by]
        return [arguments[start : start + size] for start in range(0, len(arguments), size)]

    def piece_count(self) -> int:
        """How many pieces a stream of this answer has."""
        return len(self.text_pieces()) + sum(len(self.argument_pieces(each.arguments)) for each in self.tool_calls)


def compose(turn: Turn, request: ScriptRequest, stream_by: StreamBy) -> Answer:
    """The answer that `turn` gives to `request`. Raises `ScriptError` if its output fits no output tool."""
    key = f"{request.conversation}_{request.turn}"
    text, tool_calls = turn.text, turn.tool_calls
    if turn.output is not None:
        text, tool_calls = _structured(turn.output, request)
    answered = tuple(_answered(key, n, each) for n, each in enumerate(tool_calls, start=1))
    return Answer(
        key=key,
        model=request.model,
        created_s=_EPOCH_S + request.turn,
        text=text,
        tool_calls=answered,
        usage=turn.usage or _usage(request, text, answered),
        stream_by=stream_by,
        cut_short=turn.cut_short,
    )


def _answered(key: str, number: int, tool_call: ToolCall) -> AnsweredCall:
    arguments = tool_call.arguments
    return AnsweredCall(
        call_id=tool_call.call_id or f"call_{key}_{number}",
        item_id=f"fc_{key}_{number}",
        tool=tool_call.tool,
        arguments=arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode(),
    )


def _usage(request: ScriptRequest, text: str | None, tool_calls: tuple[AnsweredCall, ...]) -> Usage:
    size = len(text or "") + sum(len(each.tool) + len(each.arguments) for each in tool_calls)
    return Usage(input_tokens=_tokens(request.input_size), output_tokens=_tokens(size))


def _tokens(size: int) -> int:
    return max(1, -(-size // _BYTES_PER_TOKEN))


def _structured(output: Output, request: ScriptRequest) -> tuple[str | None, tuple[ToolCall, ...]]:
    tool = _output_tool(output, request.tools)
    schema = tool.parameters if tool else _response_schema(request)
    value = _wrapped(output.value, schema)
    if tool is None:
        return orjson.dumps(value).decode(), ()
    return None, (ToolCall(tool.name, cast("dict[str, Any]", value)),)


def _output_tool(output: Output, offered: list[OfferedTool]) -> OfferedTool | None:
    """The tool to answer through; none where the request asks for JSON text instead."""
    if output.tool is not None:
        named = next((tool for tool in offered if tool.name == output.tool), None)
        if named is None:
            raise ScriptError(f"the request offers no tool {output.tool!r} for the output: {_names(offered)}")
        return named
    candidates = [tool for tool in offered if tool.name.startswith("final_result") or _OUTPUT_TOOL in tool.description]
    if not candidates:
        return None
    if len(candidates) == 1:
        return candidates[0]
    keys = _keys(output.value)
    fitting = [tool for tool in candidates if keys <= set(tool.parameters.get("properties", {}))]
    if not fitting:
        raise ScriptError(f"no output tool takes the keys {sorted(keys)}: {_names(candidates)}; name one with tool")
    return fitting[0]


def _names(tools: list[OfferedTool]) -> str:
    return ", ".join(tool.name for tool in tools) or "it offers none"


def _keys(value: Any) -> set[str]:
    return set(cast("dict[str, Any]", value)) if isinstance(value, dict) else {"response"}


def _wrapped(value: Any, schema: dict[str, Any]) -> Any:
    """A plain value (`output(5)`) goes under the single property Pydantic AI puts around it."""
    properties = list(schema.get("properties", {}))
    if isinstance(value, dict) or len(properties) != 1:
        return cast("Any", value)
    return {properties[0]: value}


def _response_schema(request: ScriptRequest) -> dict[str, Any]:
    path = ("response_format", "json_schema") if request.api == "chat" else ("text", "format")
    found: Any = request.body
    for key in (*path, "schema"):
        found = cast("dict[str, Any]", found.get(key) or {})
    return found
