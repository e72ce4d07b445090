"""An API server of this process's, on a real socket: it starts in no time.

Tests that kill a server, or need one in another process, use `support.api_process.started`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from holdfast.api import create_api
from holdfast.app import App
from holdfast.identity.tokens import TokenVerifier
from holdfast.service.gate import Gate
from support.holder import open_services
from support.service_app import app as shop

MAX_BODY_BYTES = 100_000
HEARTBEAT_S = 0.2
_LOOKS, _LOOK_S = 20, 0.001


class _Prompt(uvicorn.Server):
    """It ends when it is told to, where nobody is connected any more: `uvicorn`'s own takes two tenths of a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for _ in range(_LOOKS):
            if not self.server_state.connections and not self.server_state.tasks:
                for server in self.servers:
                    server.close()
                return
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)

    def end(self) -> None:
        self.should_exit = True
        self._told.set()


@asynccontextmanager
async def serving(
    api_url: str, tokens: TokenVerifier | None = None, app: App = shop, **bounds: float
) -> AsyncIterator[str]:
    """A server of `app`; gives its address. `tokens` are those it believes beside keys; `bounds` are `create_api`'s."""
    async with open_services(api_url, app) as services:
        gate = Gate(services.db, tokens)
        api = create_api(services, gate, max_body_bytes=MAX_BODY_BYTES, heartbeat_s=HEARTBEAT_S, **bounds)
        config = uvicorn.Config(
            api, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1, lifespan="off"
        )
        server = _Prompt(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.001)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.end()
            await task
