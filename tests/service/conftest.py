"""Use cases over a real database, as the API's login, with a worker to drive runs."""

from collections.abc import AsyncIterator

import pytest

from holdfast.service.services import Services
from support.holder import Holder, open_holder, open_services
from support.service_app import app


@pytest.fixture
async def services(database) -> AsyncIterator[Services]:
    async with open_services(database.api_url, app) as found:
        yield found


@pytest.fixture
async def holder(database) -> AsyncIterator[Holder]:
    async with open_holder(database.worker_url) as found:
        yield found
