"""Fills what a turn says from the conversation.

`{user}` is the user's latest text and `{user:PATTERN}` the first group (or all) of the first match in it.
`{tool_result}` is the latest tool result, `{tool_result.a.0}` a part of it, `{result_of.NAME.a}` the latest
of one tool. `{turn}` and `{attempt}` are numbers. Every other brace stays as it is, so JSON can be said.
An argument that is a single placeholder keeps the type of the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import orjson

from holdfast.testing.model_server.errors import ScriptError

if TYPE_CHECKING:
    from holdfast.testing.model_server.conversation import ScriptRequest, ToolResult

_PLACEHOLDER = re.compile(r"\{(user|tool_result|result_of|turn|attempt)(?:([.:])([^{}]+))?\}")


def fill(value: Any, request: ScriptRequest) -> Any:
    """`value` with the placeholders in all its strings replaced. Raises `ScriptError` for want of a value."""
    if isinstance(value, str):
        return _fill_text(value, request)
    if isinstance(value, dict):
        return {key: fill(each, request) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [fill(each, request) for each in cast("list[Any]", value)]
    return value


def fill_text(text: str, request: ScriptRequest) -> str:
    """`text` with its placeholders replaced by text. Raises `ScriptError` where there is no value."""
    return _PLACEHOLDER.sub(lambda match: _as_text(_look_up(match, request)), text)


def _fill_text(text: str, request: ScriptRequest) -> Any:
    if whole := _PLACEHOLDER.fullmatch(text):
        return _look_up(whole, request)
    return fill_text(text, request)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _look_up(match: re.Match[str], request: ScriptRequest) -> Any:
    name, separator, rest = match.groups()
    if name == "user":
        return _from_user(match.group(), request.user, rest) if separator == ":" else request.user
    if name == "turn":
        return request.turn
    if name == "attempt":
        return request.attempt
    path = rest.split(".") if rest else []
    tool = path.pop(0) if name == "result_of" and path else None
    return _follow(match.group(), _latest(match.group(), request.results, tool), path)


def _from_user(placeholder: str, text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ScriptError(f"{placeholder}: the user's text {text!r} does not match {pattern!r}")
    return found.group(1) if found.re.groups else found.group()


def _latest(placeholder: str, results: list[ToolResult], tool: str | None) -> Any:
    for result in reversed(results):
        if tool is None or result.tool == tool:
            return result.value
    raise ScriptError(f"{placeholder}: no result of {tool or 'any tool'} is in the conversation yet")


def _follow(placeholder: str, value: Any, path: list[str]) -> Any:
    for key in path:
        try:
            value = cast("Any", value[int(key)] if isinstance(value, list) else value[key])
        except (KeyError, IndexError, TypeError, ValueError):
            raise ScriptError(f"{placeholder}: the tool result has no {key!r}") from None
    return value
