"""The `scene` fixture: worker processes on a database of their own."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from worker_scene import APP, Scene, WorkerProcess

from holdfast.settings import PREFIX, Settings
from holdfast.store.vault import WrappingKey
from holdfast.wiring import load_app, open_api
from support.private_database import PrivateDatabase

KEY = WrappingKey.generate()


@pytest.fixture
async def scene(tmp_path: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async with opened(tmp_path, database, monkeypatch) as scene:
        yield scene


@pytest.fixture
async def private_scene(
    tmp_path: Path, private_database: PrivateDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """The same on a server of the test's own."""
    async with opened(tmp_path, private_database, monkeypatch) as scene:
        yield scene


@asynccontextmanager
async def opened(tmp_path: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOLDFAST_TEST_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    KEY.save(tmp_path / "key")
    settings = Settings.load({"database_url": database.api_url, "key_file": tmp_path / "key"})
    workers: list[WorkerProcess] = []
    with psycopg.connect(database.admin_url, autocommit=True, row_factory=dict_row) as connection:
        async with open_api(settings, load_app(f"{APP}:app")) as services:
            scene = Scene(tmp_path, database, workers, services, connection)
            try:
                yield scene
            finally:
                scene.connection.close()
                for worker in workers:
                    if worker.process.poll() is None:
                        worker.signal(signal.SIGCONT)
                        worker.kill()
