"""What the server does with a request: read, choose a script, count, decide, answer, record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from holdfast.testing.model_server.answer import compose
from holdfast.testing.model_server.connection import ClientGoneError, Connection, HttpRequest
from holdfast.testing.model_server.control import CONTROL_PREFIX, Control
from holdfast.testing.model_server.delivery import Delivery
from holdfast.testing.model_server.errors import ScriptError
from holdfast.testing.model_server.reading import read_request
from holdfast.testing.model_server.script import Route, Script, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.testing.model_server.attempts import Attempts
    from holdfast.testing.model_server.conversation import Api, ScriptRequest
    from holdfast.testing.model_server.gates import Gates
    from holdfast.testing.model_server.request_log import Outcome, RequestLog, RequestRecord

_APIS: dict[str, Api] = {"/v1/chat/completions": "chat", "/v1/responses": "responses"}


class Provider:
    """A model provider that answers from scripts."""

    def __init__(self, routes: Sequence[Route], attempts: Attempts, log: RequestLog, gates: Gates) -> None:
        self._routes = routes
        self._attempts = attempts
        self._log = log
        self._gates = gates
        self._control = Control(log, gates)

    async def handle(self, request: HttpRequest, connection: Connection) -> None:
        """Answer one HTTP request."""
        if request.path.startswith(CONTROL_PREFIX):
            await self._control.handle(request, connection)
            return
        record = self._log.begin(request)
        outcome: Outcome = "server_stopped"
        try:
            outcome = await self._answer(request, record, Delivery(connection, self._gates, record))
        except ClientGoneError:
            outcome = "client_gone"
            raise
        finally:
            self._log.finish(record, outcome)

    async def _answer(self, http: HttpRequest, record: RequestRecord, delivery: Delivery) -> Outcome:
        if (http.method, http.path) == ("GET", "/v1/models"):
            return delivery.show({"object": "list", "data": [_model(route.model) for route in self._routes]})
        api = _APIS.get(http.path)
        if api is None or http.method != "POST":
            return delivery.refuse(404, f"no {http.method} {http.path} here; it has {', '.join(_APIS)}", "unknown_url")
        try:
            request = _read(api, http.body)
            script = self._admit(request, record)
            return await self._follow(script, request, record, delivery)
        except ScriptError as error:
            # 400, which clients do not retry: a mistake in a script must not look like a passing failure.
            record.error = str(error)
            return delivery.refuse(400, str(error), "script_error")

    def _admit(self, request: ScriptRequest, record: RequestRecord) -> Script:
        record.model, record.stream = request.model, request.stream
        route = choose(self._routes, request)
        request.identify(route.name)
        request.attempt = self._attempts.next(request.conversation, request.turn)
        record.script, record.conversation = route.name, request.conversation
        record.turn, record.attempt = request.turn, request.attempt
        self._log.changed()
        return route.script

    async def _follow(
        self, script: Script, request: ScriptRequest, record: RequestRecord, delivery: Delivery
    ) -> Outcome:
        turn = script.turn_for(request)
        fault = turn.fault_for(request.attempt)
        record.fault = fault.kind if fault else None
        await delivery.conditions(turn, fault, stream=request.stream)
        if fault is not None and fault.replaces_answer:
            return await delivery.replace(fault, request)
        answer = compose(turn, request, script.stream_by)
        send = delivery.stream if request.stream else delivery.whole
        return await send(answer, turn, fault, request)


def _read(api: Api, body: bytes) -> ScriptRequest:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ScriptError(f"the body of the request is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ScriptError("the body of the request is not a JSON object")
    fields = cast("dict[str, Any]", parsed)
    if fields.get("previous_response_id") or fields.get("conversation"):
        raise ScriptError(
            "no conversation is kept here: send the whole history, not previous_response_id or conversation"
        )
    return read_request(api, fields)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "holdfast"}
