"""Sends an answer the way the turn says: at once, late, up to a gate, or not to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from holdfast.testing.model_server.chat import chat_body, chat_frames
from holdfast.testing.model_server.responses import responses_body, responses_frames

if TYPE_CHECKING:
    from holdfast.testing.model_server.answer import Answer
    from holdfast.testing.model_server.connection import Connection
    from holdfast.testing.model_server.conversation import ScriptRequest
    from holdfast.testing.model_server.frames import Frame
    from holdfast.testing.model_server.gates import Gates
    from holdfast.testing.model_server.request_log import Outcome, RequestRecord
    from holdfast.testing.model_server.turn import Fault, Malformed, Turn

_ERROR_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_SERVER_ERROR = 500
_WRONG_SHAPE = b'{"ok":true}'


class Delivery:
    """One answer on its way. Raises `ClientGoneError` from any step once the client is gone."""

    def __init__(self, connection: Connection, gates: Gates, record: RequestRecord) -> None:
        self._connection = connection
        self._gates = gates
        self._record = record

    async def conditions(self, turn: Turn, fault: Fault | None, *, stream: bool) -> None:
        """Wait for what comes before the first byte: delays, and a gate that is not in the middle."""
        delay_s = turn.delay_s + (fault.delay_s if fault else 0.0)
        if delay_s:
            await self._connection.pause(delay_s)
        if turn.gate and not (stream and turn.gate_after):
            await self._connection.unless_gone(self._gates.enter(turn.gate))

    async def replace(self, fault: Fault, request: ScriptRequest) -> Outcome:
        """Send `fault` in place of an answer."""
        if fault.hang:
            await self._connection.pause(None)
        if fault.malformed:
            return self._malformed(fault.malformed, request)
        assert fault.status is not None, "only these three replace an answer"
        message = fault.message or f"scripted fault: {fault.kind}"
        headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
        self._respond(fault.status, error_body(fault.status, message, fault.code), headers)
        return "sent"

    async def whole(self, answer: Answer, turn: Turn, fault: Fault | None, request: ScriptRequest) -> Outcome:
        """Send an unstreamed answer."""
        body = orjson.dumps(chat_body(answer) if request.api == "chat" else responses_body(answer))
        per_token_s = turn.delay_per_token_s + (fault.delay_per_token_s if fault else 0.0)
        if per_token_s:
            await self._connection.pause(per_token_s * answer.piece_count())
        if fault is None or (fault.cut_after is None and fault.hang_after is None):
            self._respond(200, body)
            return "sent"
        self._respond(200, body, send_bytes=len(body) // 2)
        if fault.hang_after is not None:
            await self._connection.pause(None)
        self._connection.cut()
        return "cut"

    async def stream(self, answer: Answer, turn: Turn, fault: Fault | None, request: ScriptRequest) -> Outcome:
        """Send a streamed answer."""
        frames = list(chat_frames(answer, request.body) if request.api == "chat" else responses_frames(answer))
        gate_at = _index_after(frames, turn.gate_after) if turn.gate and turn.gate_after else -1
        hang_at = _index_after(frames, fault.hang_after) if fault else -1
        cut_at = _index_after(frames, fault.cut_after) if fault else -1
        per_token_s = turn.delay_per_token_s + (fault.delay_per_token_s if fault else 0.0)
        self._begin_stream()
        for index, frame in enumerate(frames):
            if index == gate_at:
                await self._connection.unless_gone(self._gates.enter(turn.gate or ""))
            if index == hang_at:
                await self._connection.pause(None)
            if index == cut_at:
                self._connection.cut()
                return "cut"
            if per_token_s and frame.is_piece:
                await self._connection.pause(per_token_s)
            self._connection.stream(frame.data)
        self._connection.end_stream()
        return "sent"

    def show(self, body: dict[str, Any]) -> Outcome:
        """Send a plain answer that no script decides."""
        self._respond(200, orjson.dumps(body))
        return "sent"

    def refuse(self, status: int, message: str, code: str) -> Outcome:
        """Send an error of the server's own, such as a script that has no answer."""
        self._respond(status, error_body(status, message, code))
        return "sent"

    def _malformed(self, kind: Malformed, request: ScriptRequest) -> Outcome:
        broken = _WRONG_SHAPE if kind == "shape" else b'{"id":"' + request.conversation.encode() + b'","obj'
        if not request.stream:
            self._respond(200, broken)
            return "sent"
        self._begin_stream()
        self._connection.stream(b"data: " + broken + b"\n\n")
        self._connection.end_stream()
        return "sent"

    def _respond(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        send_bytes: int | None = None,
    ) -> None:
        self._record.status = status
        self._connection.respond(status, body, headers=headers, send_bytes=send_bytes)

    def _begin_stream(self) -> None:
        self._record.status = 200
        self._connection.begin_stream()


def error_body(status: int, message: str, code: str | None) -> bytes:
    """An error as OpenAI words it."""
    kind = "server_error" if status >= _SERVER_ERROR else _ERROR_TYPES.get(status, "invalid_request_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _index_after(frames: list[Frame], pieces: int | None) -> int:
    """Where `pieces` pieces have been sent: the frame to stop before; the last one if there are fewer."""
    if pieces is None:
        return -1
    sent = 0
    for index, frame in enumerate(frames):
        if sent >= pieces:
            return index
        sent += frame.is_piece
    return len(frames) - 1
