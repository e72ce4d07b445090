"""Reads chat completions and responses requests into a `ScriptRequest`.

Lenient on purpose: what is not understood is skipped, for a provider's clients send more than a script needs.
"""

from __future__ import annotations

from typing import Any, cast

from holdfast.testing.model_server.conversation import Api, OfferedTool, ScriptRequest, ToolResult


def read_request(api: Api, body: dict[str, Any]) -> ScriptRequest:
    """The conversation in `body`. Raises nothing for an odd one: missing parts are empty."""
    reader = _Reader(ScriptRequest(api=api, model=str(body.get("model", "")), body=body))
    if api == "chat":
        for message in _dicts(body.get("messages")):
            reader.chat_message(message)
        reader.request.tools = [
            _tool(each.get("function")) for each in _dicts(body.get("tools")) if each.get("function")
        ]
    else:
        reader.response_items(body)
        reader.request.tools = [_tool(each) for each in _dicts(body.get("tools")) if each.get("type") == "function"]
    return reader.request


class _Reader:
    """Folds messages, oldest first. Adjacent items of the model are one turn."""

    def __init__(self, request: ScriptRequest) -> None:
        self.request = request
        self._in_model_turn = False
        self._tool_of_call: dict[str, str] = {}

    def chat_message(self, message: dict[str, Any]) -> None:
        role = message.get("role")
        text = _text(message.get("content"))
        if role == "assistant":
            self._model(text)
            for each in _dicts(message.get("tool_calls")):
                function = cast("dict[str, Any]", each.get("function") or {})
                self._called(each.get("id"), function.get("name"), function.get("arguments"))
        elif role == "tool":
            self._returned(message.get("tool_call_id"), text)
        else:
            self._told(role, text)

    def response_items(self, body: dict[str, Any]) -> None:
        self._told("system", _text(body.get("instructions")))
        items = body.get("input")
        if isinstance(items, str):
            self._told("user", items)
        for item in _dicts(items):
            self._response_item(item)

    def _response_item(self, item: dict[str, Any]) -> None:
        kind, role = item.get("type", "message"), item.get("role")
        if kind == "function_call_output":
            self._returned(item.get("call_id"), _text(item.get("output")))
        elif kind == "function_call":
            self._model("")
            self._called(item.get("call_id"), item.get("name"), item.get("arguments"))
        elif role == "assistant" or kind != "message":
            self._model(_text(item.get("content")))
        else:
            self._told(role, _text(item.get("content")))

    def _model(self, text: str) -> None:
        if not self._in_model_turn:
            self.request.turn += 1
            self.request.new_results = []
        self._in_model_turn = True
        self.request.input_size += len(text)

    def _called(self, call_id: Any, tool: Any, arguments: Any) -> None:
        self._tool_of_call[str(call_id)] = str(tool)
        self.request.input_size += len(str(arguments))

    def _returned(self, call_id: Any, text: str) -> None:
        self._in_model_turn = False
        result = ToolResult(str(call_id), self._tool_of_call.get(str(call_id), ""), text)
        self.request.results.append(result)
        self.request.new_results.append(result)
        self.request.input_size += len(text)

    def _told(self, role: Any, text: str) -> None:
        request = self.request
        request.input_size += len(text)
        if role in {"system", "developer"}:
            request.system = f"{request.system}\n{text}" if request.system else text
            return
        self._in_model_turn = False
        request.user = text
        if request.turn == 1:
            request.opening = f"{request.opening}\n{text}" if request.opening else text


def _tool(function: Any) -> OfferedTool:
    function = cast("dict[str, Any]", function)
    return OfferedTool(
        name=str(function.get("name", "")),
        description=str(function.get("description") or ""),
        parameters=cast("dict[str, Any]", function.get("parameters") or {}),
    )


def _dicts(items: Any) -> list[dict[str, Any]]:
    if not isinstance(items, list):
        return []
    return [cast("dict[str, Any]", each) for each in cast("list[Any]", items) if isinstance(each, dict)]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _dicts(content) if isinstance(part.get("text"), str))
