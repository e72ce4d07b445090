"""The `scene` fixture: forked workers on a database of their own, a scripted model, a ledger."""

import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import bank_app
import pytest
from bank_kills import Kills, prepared
from bank_plot import SCRIPT
from crash_app import TASKS, app_of
from crash_model import Model
from crash_scene import LANES, Ledger, Onlooker, Scene, Superuser
from judging import Undisturbed, undisturbed
from nursery import Nursery

from holdfast.app import App
from holdfast.settings import PREFIX, Settings
from holdfast.store.vault import WrappingKey
from holdfast.testing import ModelServer
from holdfast.wiring import open_api


@pytest.fixture(scope="session")
def crash_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash")
    WrappingKey.generate().save(folder / "key")
    return folder


@pytest.fixture(scope="session")
def model() -> Model:
    return Model()


@pytest.fixture(scope="session")
def nursery(crash_folder: Path, model: Model) -> Iterator[Nursery]:
    with ModelServer(model.script, keep_bodies=1) as server, Nursery(crash_folder, server.url) as nursery:
        yield nursery


@pytest.fixture(scope="session")
def every_task() -> App:
    """What the API knows: each scenario, and each in every lane."""
    return app_of([name for task in TASKS for name in (task, *(f"{task}.{lane}" for lane in range(LANES)))])


@asynccontextmanager
async def opened(
    folder: Path, nursery: Nursery, model: Model, app: App, database: Any, url: str | None = None
) -> AsyncGenerator[Scene, None]:
    """A scene on this database, whose workers reach it by `url`."""
    (folder / "go").unlink(missing_ok=True)
    settings = Settings.load({"database_url": database.api_url, "key_file": folder / "key"})
    connection = Superuser(database.admin_url)
    async with open_api(settings, app) as services:
        ledger = Ledger(folder / "ledger")
        url = url or database.worker_url
        scene = Scene(folder, url, nursery, model, services, connection, ledger, Onlooker(connection))
        try:
            yield scene
        finally:
            for worker in scene.workers:
                await worker.kill()
            connection.close()


@pytest.fixture
def open_scene(
    crash_folder: Path, nursery: Nursery, model: Model, every_task: App, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Scene]]:
    """`async with open_scene(database, url) as scene`: for a database of one's own, or another way to it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(crash_folder)
    return partial(opened, crash_folder, nursery, model, every_task)


@pytest.fixture
async def scene(open_scene: Callable[..., AbstractAsyncContextManager[Scene]], database: Any) -> AsyncIterator[Scene]:
    async with open_scene(database) as scene:
        yield scene


_known: dict[str, Undisturbed] = {}


@pytest.fixture
def peace(scene: Scene) -> Any:
    """How a scenario goes undisturbed: found out once."""

    async def of(scenario: str) -> Undisturbed:
        if scenario not in _known:
            _known[scenario] = await undisturbed(scene, scenario)
        return _known[scenario]

    return of


# --- the bank ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bank_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    WrappingKey.generate().save(tmp_path / "key")
    return tmp_path


@pytest.fixture
def tellers(bank_folder: Path) -> Iterator[Nursery]:
    with ModelServer(SCRIPT, keep_bodies=1) as server, Nursery(bank_folder, server.url, "bank_app") as nursery:
        yield nursery


@pytest.fixture
async def kills(bank_folder: Path, tellers: Nursery, database: Any) -> AsyncIterator[Kills]:
    """A bank, its people, and nobody at work yet. The seed is CRASH_SEED's, or printed."""
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    print(f"\napproval kills: seed {seed}")
    connection = Superuser(database.admin_url)
    settings = Settings.load({"database_url": database.api_url, "key_file": bank_folder / "key"})
    async with open_api(settings, bank_app.app_of([*bank_app.TASKS], policy=bank_folder / "policy.cedar")) as services:
        made = await prepared(bank_folder, database, tellers, services, Onlooker(connection), random.Random(seed))
        yield made
        await made.stop()
    connection.close()
