"""An API server of this process's, on a real socket: it starts in no time.

Tests that kill a server, or need one in another process, use `support.api_process.started`.
"""

import asyncio
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


@asynccontextmanager
async def serving(
    api_url: str, tokens: TokenVerifier | None = None, app: App = shop, **bounds: float
) -> AsyncIterator[str]:
    """A server of `app`; gives its address. `tokens` are those it believes beside keys; `bounds` are `create_api`'s."""
    async with open_services(api_url, app) as services:
        gate = Gate(services.db, tokens)
        api = create_api(services, gate, max_body_bytes=MAX_BODY_BYTES, heartbeat_s=HEARTBEAT_S, **bounds)
        config = uvicorn.Config(api, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
