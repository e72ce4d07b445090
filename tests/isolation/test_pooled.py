"""A pooled connection goes from tenant to tenant, through errors, rollbacks and cancellations: no scope survives."""

import asyncio
from contextlib import suppress
from random import Random
from uuid import UUID

import psycopg
import pytest
import uvloop

from holdfast.store.pool import Database
from holdfast.store.query import in_scope

SETTING = "select nullif(current_setting('holdfast.tenant', true), '')::uuid"
SEEN = "select array(select distinct r.tenant from holdfast.runs r), array(select t.id from holdfast.tenants t)"
ONE_STATEMENT = in_scope(f"{SEEN}, ({SETTING})".encode())
CONNECTIONS = 3
TASKS = 6


async def as_committed(db: Database, tenant: UUID) -> None:
    async with db.tenant(tenant) as connection:
        await see(connection, tenant)


async def as_pipelined(db: Database, tenant: UUID) -> None:
    async with db.connection() as connection, connection.pipeline():
        await connection.execute("select set_config('holdfast.tenant', %s, true)", [str(tenant)])
        seen, setting = await connection.execute(SEEN), await connection.execute(SETTING)
        assert await seen.fetchone() == ([tenant], [tenant])
        assert await setting.fetchone() == (tenant,)


async def as_fetched(db: Database, tenant: UUID) -> None:
    rows = await db.fetch(tenant, "get_session", {"tenant": tenant, "session": tenant, "only": None})
    assert rows == []


async def as_one_statement(db: Database, tenant: UUID) -> None:
    async with db.connection() as connection:
        seen = await connection.execute(ONE_STATEMENT, {"scoped_to": tenant})
        assert await seen.fetchone() == ([tenant], [tenant], tenant)


async def as_failed_in_one_statement(db: Database, tenant: UUID) -> None:
    with suppress(psycopg.errors.DivisionByZero):
        async with db.connection() as connection:
            await connection.execute(in_scope(b"select 1 / count(*) from generate_series(1, 0)"), {"scoped_to": tenant})


async def as_failed(db: Database, tenant: UUID) -> None:
    with suppress(psycopg.errors.DivisionByZero):
        async with db.tenant(tenant) as connection:
            await see(connection, tenant)
            await connection.execute("select 1 / 0")


async def as_failed_in_a_pipeline(db: Database, tenant: UUID) -> None:
    with suppress(psycopg.Error):
        async with db.connection() as connection, connection.pipeline():
            await connection.execute("select set_config('holdfast.tenant', %s, true)", [str(tenant)])
            await connection.execute("select 1 / 0")


async def as_failed_in_one_message(db: Database, tenant: UUID) -> None:
    with suppress(psycopg.errors.DivisionByZero):
        async with db.connection() as connection, connection.together(tenant):
            await connection.execute("select 1 / 0")


async def as_given_up_before_the_message_left(db: Database, tenant: UUID) -> None:
    with suppress(KeyError):
        async with db.connection() as connection, connection.together(tenant):
            await connection.execute(SEEN)
            raise KeyError


async def as_given_up(db: Database, tenant: UUID) -> None:
    with suppress(KeyError):
        async with db.tenant(tenant) as connection:
            await see(connection, tenant)
            raise KeyError


async def as_cancelled(db: Database, tenant: UUID) -> None:
    async def act() -> None:
        async with db.tenant(tenant) as connection:
            begun.set()
            await connection.execute("select pg_sleep(60)")

    begun = asyncio.Event()
    task = asyncio.create_task(act())
    await begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def as_nobody(db: Database, tenant: UUID) -> None:
    """Without a tenant nothing is seen, whoever had the connection before."""
    async with db.connection() as connection:
        assert await (await connection.execute(SETTING)).fetchone() == (None,)
        assert await (await connection.execute(SEEN)).fetchone() == ([], [])


async def see(connection, tenant: UUID) -> None:
    assert await (await connection.execute(SEEN)).fetchone() == ([tenant], [tenant])


OFTEN = (as_pipelined, as_fetched, as_one_statement, as_nobody, as_committed)
SOMETIMES = (
    as_failed, as_failed_in_a_pipeline, as_failed_in_one_message, as_failed_in_one_statement,
    as_given_up, as_given_up_before_the_message_left,
)  # fmt: skip


def way(r: Random):
    luck = r.random()
    return as_cancelled if luck < 0.005 else r.choice(SOMETIMES) if luck < 0.1 else r.choice(OFTEN)


async def reuse(two, login: str, times: int) -> dict[str, int]:
    r, counts = Random(times), {}
    todo = iter([(way(r), r.choice([two.a.id, two.b.id])) for _ in range(times)])

    async def work(db: Database) -> None:
        for act, tenant in todo:
            await act(db, tenant)
            counts[act.__name__] = counts.get(act.__name__, 0) + 1

    role = login.removeprefix("holdfast_")
    async with Database.open(two.scene.database.url_of(login), role=role, max_size=CONNECTIONS) as db:
        await asyncio.gather(*(work(db) for _ in range(TASKS)))
    return counts


def reused(two, login: str, times: int) -> None:
    counts = uvloop.run(reuse(two, login, times))
    print(f"\n{times:,} uses of {CONNECTIONS} connections as {login}: {counts}")
    assert sum(counts.values()) == times
    assert counts.keys() == {act.__name__ for act in (*OFTEN, *SOMETIMES, as_cancelled)}


@pytest.mark.parametrize("login", ["holdfast_api", "holdfast_worker"])
def test_the_scope_of_a_tenant_never_survives(two, login):
    reused(two, login, 10_000)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_scope_of_a_tenant_never_survives_a_hundred_thousand_uses(two):
    reused(two, "holdfast_api", 100_000)
