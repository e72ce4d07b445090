"""Fixtures of the tests of the API: imported by name where they are used.

`api` is a real server on a real socket in this process, which starts in no time; tests that kill it or need
a second replica start processes with `support.api_process.started`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from support.holder import Holder, open_holder, open_services
from support.service_app import app

from holdfast.api import create_api

MAX_BODY_BYTES = 100_000
HEARTBEAT_S = 0.2


@asynccontextmanager
async def serving(api_url: str) -> AsyncIterator[str]:
    """A server; gives its address."""
    async with open_services(api_url, app) as services:
        api = create_api(services, max_body_bytes=MAX_BODY_BYTES, heartbeat_s=HEARTBEAT_S)
        config = uvicorn.Config(api, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        await task


@pytest.fixture
async def api(database) -> AsyncIterator[str]:
    async with serving(database.api_url) as url:
        yield url


@pytest.fixture
async def client(api) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=api, timeout=60) as found:
        yield found


@pytest.fixture
async def holder(database) -> AsyncIterator[Holder]:
    async with open_holder(database.worker_url) as found:
        yield found
