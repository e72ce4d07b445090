"""The part of the server that tests talk to, under `/_holdfast/`, so that any process can."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from holdfast.testing.model_server.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from holdfast.testing.model_server.connection import Connection, HttpRequest
    from holdfast.testing.model_server.gates import Gates
    from holdfast.testing.model_server.request_log import RequestLog

CONTROL_PREFIX = "/_holdfast/"
_WAIT_S = "30"


class Control:
    """Answers questions about requests and moves gates. None of it is recorded as a request."""

    def __init__(self, log: RequestLog, gates: Gates) -> None:
        self._log = log
        self._gates = gates

    async def handle(self, request: HttpRequest, connection: Connection) -> None:
        """Answer one control request."""
        try:
            status, payload = await connection.unless_gone(self._answer(request))
        except (ScriptError, ValueError) as error:
            status, payload = 400, {"error": str(error)}
        connection.respond(status, orjson.dumps(payload))

    async def _answer(self, request: HttpRequest) -> tuple[int, dict[str, Any]]:
        match (request.method, request.path.removeprefix(CONTROL_PREFIX).split("/")):
            case "GET", ["requests"]:
                return await self._requests(dict(request.query))
            case "DELETE", ["requests"]:
                self._log.clear()
                return 200, {"count": 0}
            case "GET", ["gates", name]:
                return await self._gate(name, request.query)
            case "POST", ["gates", name, "release"]:
                count = request.query.get("count")
                self._gates.release(name, None if count is None else int(count))
                return 200, self._gates.state(name)
            case "POST", ["gates", name, "hold"]:
                self._gates.hold(name)
                return 200, self._gates.state(name)
            case _:
                return 404, {"error": f"no {request.method} {request.path}; see docs/testing.md"}

    async def _requests(self, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        only_count = query.pop("count", "0") != "0"
        at_least, timeout_s = int(query.pop("at_least", "0")), float(query.pop("timeout_s", _WAIT_S))
        in_time = await _within(timeout_s, self._log.until(at_least, query))
        shown = {} if only_count else {"requests": [each.as_json() for each in self._log.find(query)]}
        return 200 if in_time else 504, {"count": self._log.count(query), **shown}

    async def _gate(self, name: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Waits until `waiting` answers are held, or says at once how it stands."""
        waiting, timeout_s = int(query.get("waiting", "0")), float(query.get("timeout_s", _WAIT_S))
        in_time = await _within(timeout_s, self._gates.until_held(name, waiting))
        return 200 if in_time else 504, self._gates.state(name)


async def _within(timeout_s: float, waiting: Coroutine[Any, Any, None]) -> bool:
    try:
        await asyncio.wait_for(waiting, timeout_s)
    except TimeoutError:
        return False
    return True
