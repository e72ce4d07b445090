"""What acceptance tests share. `api`, `client` and `holder` are for those of the HTTP interface."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from support.api_serving import serving
from support.credentials import local_bearer
from support.holder import Holder, open_holder


@pytest.fixture
async def api(database) -> AsyncIterator[str]:
    """The address of an API server of this process's, on a real socket."""
    async with serving(database.api_url) as url:
        yield url


@pytest.fixture
async def bearer(database) -> dict[str, str]:
    """The header of a key that may everything in the default tenant."""
    return await local_bearer(database.api_url)


@pytest.fixture
async def client(api, bearer) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=api, timeout=60, headers=bearer) as found:
        yield found


@pytest.fixture
async def holder(database) -> AsyncIterator[Holder]:
    """A worker as far as its journal goes."""
    async with open_holder(database.worker_url) as found:
        yield found
