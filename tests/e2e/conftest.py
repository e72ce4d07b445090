"""`page_at(width)`: a page of a real Chromium, with scripts off, on an API server of this process's."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from playwright.async_api import Page, async_playwright

from support.api_serving import serving
from support.credentials import local_bearer
from support.holder import open_holder
from support.link_scene import link_scene
from support.tools import CHROMIUM, need

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
"""Tests may run as root, and talk to nobody but the server under test."""
PageAt = Callable[[int], AbstractAsyncContextManager[Page]]


@pytest.fixture
def chromium() -> Path:
    need(CHROMIUM, "install-chromium")
    return CHROMIUM


@pytest.fixture
async def page_at(chromium: Path) -> AsyncIterator[PageAt]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=QUIET)

        @asynccontextmanager
        async def opened(width: int) -> AsyncIterator[Page]:
            context = await browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=False)
            yield await context.new_page()
            await context.close()

        yield opened
        await browser.close()


@pytest.fixture
async def scene(database) -> AsyncIterator[SimpleNamespace]:
    """Those who may have a say in a call of Ann's, and where they say it."""
    header = await local_bearer(database.api_url)
    async with (
        serving(database.api_url) as api,
        httpx2.AsyncClient(base_url=api, timeout=60, headers=header) as admin,
        open_holder(database.worker_url) as holder,
        link_scene(api, database, admin, holder) as found,
    ):
        found.api = api
        yield found
