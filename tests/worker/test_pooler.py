"""Behind a real PgBouncer in transaction mode: whole runs, worker and API, and what is said where settings are missing.

Few sessions are dealt out to many clients, so whatever relied on one of its own would soon meet another's.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from worker_scene import APP, PATIENCE_S, WorkerProcess

from holdfast.api import create_api
from holdfast.domain.errors import UserError
from holdfast.service.gate import Gate
from holdfast.settings import PREFIX, Settings
from holdfast.store.vault import WrappingKey
from holdfast.wiring import Installation, load_app, open_api
from support.credentials import bearer
from support.pgbouncer import pgbouncer

RUNS = 12


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOLDFAST_TEST_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    WrappingKey.generate().save(tmp_path / "key")
    return tmp_path


@pytest.fixture
def pooled(database: Any, folder: Path) -> Iterator[Callable[[str], str]]:
    with pgbouncer(database) as url_of:
        yield url_of


def settings_of(url: str, folder: Path, **more: Any) -> Settings:
    return Settings.load({"database_url": url, "key_file": folder / "key", **more})


async def test_runs_go_through_a_pooler_by_transaction(database: Any, folder: Path, pooled: Callable[[str], str]):
    (folder / "go").touch()
    environment = os.environ | {
        "HOLDFAST_DATABASE_URL": pooled("holdfast_worker"),
        "HOLDFAST_LISTEN_URL": database.worker_url,
        "HOLDFAST_PREPARED_STATEMENTS": "false",
        "HOLDFAST_KEY_FILE": str(folder / "key"),
        "HOLDFAST_LOG_FORMAT": "json",
        "HOLDFAST_POLL_S": "30",  # a hint that was not heard would show
    }
    settings = settings_of(pooled("holdfast_api"), folder, listen_url=database.api_url, prepared_statements=False)
    worker = WorkerProcess("pooled", folder, environment, f"{APP}:app").started()
    try:
        async with open_api(settings, load_app(f"{APP}:app")) as services, serving(services) as client:
            answers = await asyncio.gather(
                *(
                    client.post(f"/v1/tasks/{task}/runs", params={"wait": PATIENCE_S}, json={"input": "x"})
                    for task in ("quick", "hold", "pay")
                    for _ in range(RUNS // 3)
                )
            )
            assert {answer.json()["state"] for answer in answers} == {"succeeded"}, [each.text for each in answers]
            run = answers[0].json()["id"]
            async with client.stream("GET", f"/v1/runs/{run}/events") as stream:
                lines = [line async for line in stream.aiter_lines() if line.startswith("event:")]
            assert lines[-1] == "event: run_succeeded"
            assert worker.process.poll() is None
    finally:
        worker.signal(15)
        worker.process.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({}, ["HOLDFAST_PREPARED_STATEMENTS=false", "HOLDFAST_LISTEN_URL"]),
        ({"prepared_statements": False}, ["HOLDFAST_LISTEN_URL"]),
        ({"listen_url": "direct"}, ["HOLDFAST_PREPARED_STATEMENTS=false"]),
    ],
)
async def test_a_pooler_that_the_settings_do_not_know_of_is_refused(
    database: Any, folder: Path, pooled: Callable[[str], str], more: dict[str, Any], missing: list[str]
):
    if "listen_url" in more:
        more = {**more, "listen_url": database.api_url}
    async with Installation.open(settings_of(pooled("holdfast_api"), folder, **more)) as installation:
        with pytest.raises(UserError) as refused:
            async with installation.database("api"):
                pass
    said = str(refused.value)
    assert [name for name in ("HOLDFAST_PREPARED_STATEMENTS=false", "HOLDFAST_LISTEN_URL") if name in said] == missing


async def test_a_pooler_by_session_needs_no_settings(database: Any, folder: Path):
    with pgbouncer(database, mode="session") as url_of:
        async with open_api(settings_of(url_of("holdfast_api"), folder)) as services:
            assert await services.db.value("schema_version", {}) is not None


class serving:  # noqa: N801 - used as a function
    """The API of these services on a real socket, and a client of it."""

    def __init__(self, services: Any) -> None:
        self._db = services.db
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_api(services, Gate(services.db)),
                host="127.0.0.1",
                port=0,
                log_level="warning",
                timeout_graceful_shutdown=1,
            )
        )

    async def __aenter__(self) -> httpx2.AsyncClient:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            assert not self._task.done()
            await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self._client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=60, headers=await bearer(self._db)
        )
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        self._server.should_exit = True
        await self._task
