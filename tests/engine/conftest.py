"""A `Lab` for each test, with the app the test's agent is put into."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio
from tests.engine.lab import Lab

from holdfast.app import App
from holdfast.store.hints import Hints
from holdfast.store.pool import Database
from holdfast.store.vault import Vault, WrappingKey

MakeLab = Callable[..., Awaitable[Lab]]


@pytest_asyncio.fixture
async def make_lab(database: Any) -> AsyncIterator[MakeLab]:
    """`await make_lab(agent, deps=..., ...)`: an app with the one task `task`."""
    async with AsyncExitStack() as stack:
        worker_db = await stack.enter_async_context(Database.open(database.worker_url, role="worker"))
        api_db = await stack.enter_async_context(Database.open(database.api_url, role="api"))
        hints = await stack.enter_async_context(Hints(worker_db))
        wrapping = WrappingKey.generate()

        async def make(agent: Any, **options: Any) -> Lab:
            app = App("lab")
            app.task("task", agent=agent, **options)
            return Lab(
                app=app,
                worker_db=worker_db,
                api_db=api_db,
                vault=Vault(worker_db, wrapping),
                hints=hints,
                admin_url=database.admin_url,
                wrapping=wrapping,
            )

        yield make
