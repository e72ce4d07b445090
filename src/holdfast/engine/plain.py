"""The stored form of plain messages, written in one go.

Pydantic writes a message part by part, some by way of Python functions: ten microseconds where orjson takes one. What
most messages hold (text, calls of tools, results that are text or numbers) both write alike. Whether they do is not
taken for granted: the first message of each make-up is written by both, and if they differ, Pydantic writes them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, cast

import orjson
from pydantic import TypeAdapter
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_SUBCLASS
_SCALARS = frozenset({str, int, bool, type(None)})
_RESPONSE = tuple(field.name for field in fields(ModelResponse))
# What telemetry hangs on a call stays in the process.
_CALL = tuple(field.name for field in fields(ToolCallPart) if field.name != "otel_metadata")
_alike: dict[tuple[type[Any], ...], bool] = {}


def dump_plain(message: ModelMessage, by_pydantic: Callable[[ModelMessage], bytes]) -> bytes | None:
    """The message as `by_pydantic` would write it; None where that is not known."""
    make_up = (type(message), *map(type, message.parts))
    alike = _alike.get(make_up)
    if alike is False:
        return None
    written = _written(message)
    if alike is None and written is not None:
        _alike[make_up] = alike = written == by_pydantic(message)
    return written if alike else None


def _written(message: ModelMessage) -> bytes | None:
    try:
        if type(message) is ModelRequest:
            return _request(message)
        return _response(message) if type(message) is ModelResponse else None
    except TypeError:  # a number beyond 64 bits, a lone surrogate, a subclass, a type that only Pydantic knows
        return None


def _request(message: ModelRequest) -> bytes | None:
    if message.metadata is not None:
        return None
    part: Any
    for part in message.parts:
        cls = cast("type[Any]", type(part))
        if cls is ToolReturnPart:
            if type(part.content) not in _SCALARS or part.metadata is not None:
                return None
        elif cls is UserPromptPart:
            if type(part.content) is not str:
                return None
        elif cls is not SystemPromptPart or part.metadata is not None:
            return None
    return orjson.dumps(message, option=_OPTIONS)


def _response(message: ModelResponse) -> bytes | None:
    if message.metadata is not None or message.failed_attempts or message.provider_details is not None:
        return None
    parts = list[Any]()
    part: Any
    for part in message.parts:
        cls = cast("type[Any]", type(part))
        if cls is ToolCallPart:
            if part.provider_details is not None or not _is_plain(part.args):
                return None
            found = part.__dict__
            parts.append({name: found[name] for name in _CALL})
        elif cls is TextPart:
            if part.provider_details is not None or part.citations is not None:
                return None
            parts.append(part)
        else:
            return None
    usage = message.usage
    if type(usage) is not RequestUsage:
        return None
    found = message.__dict__
    shown = {name: found[name] for name in _RESPONSE}
    shown["parts"] = parts
    # A usage holds only what was set; all there may be is written.
    shown["usage"] = {**_unset_usage(), **usage.__dict__}
    return orjson.dumps(shown, option=_OPTIONS)


def _is_plain(args: Any) -> bool:
    if type(args) is not dict:
        return type(args) in _SCALARS
    found = cast("dict[Any, Any]", args)
    return all(type(name) is str and type(value) in _SCALARS for name, value in found.items())


@cache
def _unset_usage() -> dict[str, Any]:
    return TypeAdapter(RequestUsage).dump_python(RequestUsage(), mode="json")
