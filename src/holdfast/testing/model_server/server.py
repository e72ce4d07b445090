"""Runs the model server on a thread of this process, for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from holdfast.testing.model_server.attempts import Attempts
from holdfast.testing.model_server.connection import Connection
from holdfast.testing.model_server.gates import Gates
from holdfast.testing.model_server.loop_thread import LoopThread
from holdfast.testing.model_server.provider import Provider
from holdfast.testing.model_server.request_log import RequestLog, RequestRecord
from holdfast.testing.model_server.script import Scripts, routes_of

if TYPE_CHECKING:
    from types import TracebackType

_HOST = "127.0.0.1"


class ModelServer:
    """An OpenAI-compatible model provider on loopback HTTP that answers from scripts.

    `scripts` is one `Script` for every model, a mapping from model name (or pattern) to script, or a list of
    `Route`. `port` 0 takes a free one; a fixed port lets a server come back where it was. `state_file` keeps
    the counts of attempts over restarts. Of the last `keep_bodies` requests the bodies are remembered.

    Use it as a context manager, or call `start` and `stop`. Every method may be called from any thread; those
    that wait have a coroutine beside them for callers on an event loop.
    """

    def __init__(
        self,
        scripts: Scripts,
        *,
        port: int = 0,
        state_file: str | Path | None = None,
        keep_bodies: int = 1000,
    ) -> None:
        self._routes = routes_of(scripts)
        self._port = port
        self._state_file = None if state_file is None else Path(state_file)
        self._log = RequestLog(keep_bodies)
        self._gates = Gates()
        self._connections: set[Connection] = set()
        self._thread = LoopThread()

    # Life.

    def start(self) -> Self:
        """Listen. Returns this server. Raises `OSError` if the port is taken."""
        self._attempts = Attempts(self._state_file)
        self._thread.start()
        try:
            self._listener = self._thread.wait(self._listen)
        except OSError:
            self._attempts.close()
            self._thread.end()
            raise
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """Drop all connections and end the thread. Records can still be read."""
        if self._thread.is_running:
            self._thread.wait(self._close)
            self._thread.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Where it is.

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL for clients, such as `http://127.0.0.1:43210/v1`."""
        return f"http://{_HOST}:{self._port}/v1"

    @property
    def control_url(self) -> str:
        """The base URL of the control interface, for other processes."""
        return f"http://{_HOST}:{self._port}/_holdfast"

    def env(self) -> dict[str, str]:
        """The environment that makes OpenAI clients, and so `Agent("openai:...")`, talk to this server."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": "test"}

    # What it saw.

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests so far, in order of arrival."""
        return self._log.find()

    def count(self, **wanted: Any) -> int:
        """How many requests have these fields, such as `model`, `status`, `turn`, `outcome`."""
        return self._log.count(wanted)

    def clear(self) -> None:
        """Forget the requests so far. Attempts are still counted on."""
        self._thread.call(self._log.clear)

    def wait_for_requests(self, count: int, *, timeout_s: float = 30.0, **wanted: Any) -> None:
        """Wait until at least `count` requests have these fields. Raises `TimeoutError`."""
        self._thread.wait(lambda: asyncio.wait_for(self._log.until(count, wanted), timeout_s))

    async def until_requests(self, count: int, *, timeout_s: float = 30.0, **wanted: Any) -> None:
        """Like `wait_for_requests`, without blocking the event loop."""
        waiting = self._thread.submit(lambda: asyncio.wait_for(self._log.until(count, wanted), timeout_s))
        await asyncio.wrap_future(waiting)

    # Gates.

    def release(self, gate: str, count: int | None = None) -> None:
        """Let answers through `gate` from now on, or only the next `count`."""
        self._thread.call(lambda: self._gates.release(gate, count))

    def hold(self, gate: str) -> None:
        """Close `gate` again (gates are held from the start)."""
        self._thread.call(lambda: self._gates.hold(gate))

    def waiting(self, gate: str) -> int:
        """How many answers wait at `gate`."""
        return int(self._thread.call(lambda: self._gates.state(gate))["waiting"])

    def wait_until_held(self, gate: str, count: int = 1, *, timeout_s: float = 30.0) -> None:
        """Wait until `count` answers wait at `gate`. Raises `TimeoutError`."""
        self._thread.wait(lambda: asyncio.wait_for(self._gates.until_held(gate, count), timeout_s))

    async def until_held(self, gate: str, count: int = 1, *, timeout_s: float = 30.0) -> None:
        """Like `wait_until_held`, without blocking the event loop."""
        waiting = self._thread.submit(lambda: asyncio.wait_for(self._gates.until_held(gate, count), timeout_s))
        await asyncio.wrap_future(waiting)

    # The thread.

    async def _listen(self) -> asyncio.Server:
        provider = Provider(self._routes, self._attempts, self._log, self._gates)
        return await asyncio.get_running_loop().create_server(
            lambda: Connection(provider.handle, self._connections), _HOST, self._port
        )

    async def _close(self) -> None:
        self._listener.close()
        for connection in list(self._connections):
            await connection.stop()
        self._attempts.close()
