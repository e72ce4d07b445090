"""What isolation and identity cost: a read and an append in a tenant's scope beside the same without, and requests
per second with a key and with a token.

The unscoped side is the same schema in a second database with row security switched off, driven by the same code; reads
there set no tenant. Nothing of Holdfast would start on it: it is here to be compared with.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import uvicorn
from psycopg.conninfo import make_conninfo

from bench.append import KEY, claimed_runs
from bench.place import WHO
from bench.row import Row
from bench.tokens import signer
from holdfast.api import create_api
from holdfast.domain.events import Noted
from holdfast.domain.ids import DEFAULT_TENANT, Ref
from holdfast.domain.rights import Role
from holdfast.identity.tokens import TokenVerifier
from holdfast.service.gate import Gate
from holdfast.service.manage_keys import create_key
from holdfast.store.journal import JournalWriter
from holdfast.store.migrate import migrate
from holdfast.store.pool import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.place import Place
    from holdfast.store.journal import RunJournal

BAR = 1.1
_AT_ONCE = 16


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """Ratios against no isolation; and requests per second, each looking its principal up."""
    seconds, turns = (0.1, 1) if quick else (0.25, 20)  # short ones: what else goes on meets both sides
    unscoped = _unscoped(place)
    worker_url = place.installation.url("worker")
    async with (
        Database.open(worker_url, role="worker") as scoped_db,
        Database.open(make_conninfo(worker_url, dbname=unscoped), role="worker") as unscoped_db,
    ):
        reads, appends = list[float](), list[float]()
        run = (await claimed_runs(scoped_db, 1))[0].run
        other = (await claimed_runs(unscoped_db, 1))[0].run
        for _ in range(turns):
            bare = await _per_s(lambda: _read(unscoped_db, None, other), seconds)
            reads.append(bare / await _per_s(lambda: _read(scoped_db, DEFAULT_TENANT, run), seconds))
            bare = await _appends_per_s(unscoped_db, seconds)
            appends.append(bare / await _appends_per_s(scoped_db, seconds))
    return [
        Row(name="a read in a tenant's scope ÷ unscoped", measured=median(reads), bar=BAR),
        Row(name="an append under row security ÷ without, 16 runs", measured=median(appends), bar=BAR),
        *await _requests(place, 0.1 if quick else 1.0),
    ]


def _unscoped(place: Place) -> str:
    name = "unscoped"
    place.execute(f"create database {name}")
    url = make_conninfo(place.admin_url, dbname=name)
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "select relname from pg_class where relnamespace = 'holdfast'::regnamespace and relkind in ('r', 'p')"
        ).fetchall()
        for (table,) in tables:
            statement = f"alter table holdfast.{table} disable row level security"
            connection.execute(statement.encode())
    return name


async def _read(db: Database, tenant: UUID | None, run: UUID) -> None:
    found = await db.fetch(tenant, "get_run", {"tenant": DEFAULT_TENANT, "run": run, "only": None})
    assert len(found) == 1


async def _per_s(act: Callable[[], Awaitable[None]], seconds: float) -> float:
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        await act()
        count += 1
    return count / (time.perf_counter() - began)


async def _appends_per_s(db: Database, seconds: float) -> float:
    claims = await claimed_runs(db, _AT_ONCE)
    event = Noted(scope="", key="x" * 700, value=Ref("0" * 64))

    async def one(journal: RunJournal, until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            await journal.append(event)
            count += 1
        return count

    async with JournalWriter(db) as writer:
        journals = [writer.open(claim, KEY) for claim in claims]
        began = time.perf_counter()
        counts = await asyncio.gather(*(one(journal, began + seconds) for journal in journals))
        return sum(counts) / (time.perf_counter() - began)


async def _requests(place: Place, seconds: float) -> list[Row]:
    signed, issuer = signer(place.data_dir)
    async with place.installation.api() as services, TokenVerifier([issuer]) as tokens:
        key = (await create_key(services, WHO)).once()
        gate = Gate(services.db, tokens)
        async with _serving(create_api(services, gate)) as url:
            found: list[Row] = []
            for what, credential in (("an API key", key), ("a token (ES256)", signed(str(uuid4()), Role.USER))):
                async with httpx2.AsyncClient(
                    base_url=url, headers={"Authorization": f"Bearer {credential}"}
                ) as client:
                    rate = await _rate(client, seconds)
                note = "API and 16 clients in one process"
                found.append(Row(name=f"requests per second with {what}", measured=rate, note=note))
            return found


async def _rate(client: httpx2.AsyncClient, seconds: float) -> float:
    async def one(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            answer = await client.get("/v1/runs?limit=1")
            assert answer.status_code == 200, answer.text
            count += 1
        return count

    await one(0)
    began = time.perf_counter()
    counts = await asyncio.gather(*(one(began + seconds) for _ in range(_AT_ONCE)))
    return sum(counts) / (time.perf_counter() - began)


class _serving:  # noqa: N801 - used as a function
    """An API on a real socket."""

    def __init__(self, api: Any) -> None:
        self._server = uvicorn.Server(uvicorn.Config(api, host="127.0.0.1", port=0, log_config=None, lifespan="off"))

    async def __aenter__(self) -> str:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task
