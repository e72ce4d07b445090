"""What acceptance tests share. `api`, `client` and `holder` are for those of the HTTP interface."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from support.api_serving import serving
from support.holder import Holder, open_holder


@pytest.fixture
async def api(database) -> AsyncIterator[str]:
    """The address of an API server of this process's, on a real socket."""
    async with serving(database.api_url) as url:
        yield url


@pytest.fixture
async def client(api) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=api, timeout=60) as found:
        yield found


@pytest.fixture
async def holder(database) -> AsyncIterator[Holder]:
    """A worker as far as its journal goes."""
    async with open_holder(database.worker_url) as found:
        yield found
