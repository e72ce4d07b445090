"""A request of either API as one shape: what was said, which turn is asked for, what the tools returned.

The server keeps no conversation. Everything a script decides on is read from the request, so a client may
retry, change servers, or resume after a crash, and meets the same script at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

import orjson

Api: TypeAlias = Literal["chat", "responses"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned, as the client sent it back. `value` is its parsed JSON, or its text."""

    call_id: str
    tool: str
    text: str

    @property
    def value(self) -> Any:
        """The result as parsed JSON, or its text."""
        try:
            return orjson.loads(self.text)
        except orjson.JSONDecodeError:
            return self.text


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool the request lets the model call."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class ScriptRequest:
    """One request for an answer, as a script sees it.

    `turn` counts from 1: the answers of the model so far, plus one. `attempt` counts the requests for this
    very turn of this conversation, from 1. `opening` is the user's text before the first answer, `user` the
    latest.
    `new_results` are the tool results since the last answer, `results` all of them, oldest first.
    """

    api: Api
    model: str
    body: dict[str, Any]
    system: str = ""
    opening: str = ""
    user: str = ""
    turn: int = 1
    attempt: int = 1
    conversation: str = ""
    script: str = ""
    input_size: int = 0
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    new_results: list[ToolResult] = field(default_factory=list[ToolResult])
    tools: list[OfferedTool] = field(default_factory=list[OfferedTool])

    @property
    def stream(self) -> bool:
        """Whether the client asked for server-sent events."""
        return bool(self.body.get("stream"))

    def identify(self, script: str) -> None:
        """Name the conversation, from what stays the same in all its requests.

        The system prompt is left out, since it may hold a clock. Two conversations that open with the same
        text therefore share a name, unless the client tells them apart with `user` or `metadata`.
        """
        told_apart = orjson.dumps([self.body.get("user"), self.body.get("metadata")])
        preimage = b"\0".join((script.encode(), self.opening.encode(errors="replace"), told_apart))
        self.script = script
        self.conversation = blake2b(preimage, digest_size=6).hexdigest()
