"""What a tool reaches by the connection that its run hands it: rows of its own tenant's that are not Holdfast's."""

from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import RoleTooWeak
from holdfast.store.pool import Database

TABLE = """
create table public.orders (tenant uuid not null, id int not null, note text, primary key (tenant, id));
alter table public.orders enable row level security;
create policy tenant on public.orders using (tenant = nullif(current_setting('holdfast.tenant', true), '')::uuid);
grant select, insert on public.orders to holdfast_tools;
"""
BACK = [
    "reset role",
    "set role none; set role holdfast_tools",
    "reset all",
    "discard all",
    "reset holdfast.tenant",
    "select set_config('holdfast.tenant', null, false)",
    "set search_path = holdfast",
]
"""What a library may do to a connection that it was given."""


@pytest.fixture
async def db(two):
    two.scene.admin.execute(TABLE)
    async with Database.open(two.scene.database.worker_url, role="worker") as opened:
        for tenant in (two.a, two.b):
            async with opened.tool(tenant.id) as connection:
                await connection.execute("insert into orders values (%s, 1, %s)", [tenant.id, tenant.mark])
        yield opened


async def notes(connection):
    return [note for (note,) in await (await connection.execute("select note from public.orders")).fetchall()]


async def test_it_sees_its_tenants_rows_and_writes_no_others(db, two):
    for one, other in ((two.a, two.b), (two.b, two.a)):
        async with db.tool(one.id) as connection:
            assert await notes(connection) == [one.mark]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute("insert into orders values (%s, 2, 'x')", [other.id])
            await connection.rollback()


async def test_it_reaches_nothing_of_holdfasts(db, two):
    """Each table and each function, from the catalogue."""
    found = two.scene.admin.execute(
        "select 'select 1 from ' || c.oid::regclass from pg_class c where relnamespace = 'holdfast'::regnamespace"
        " and relkind in ('r', 'p') union all select format('select holdfast.%I()', proname) from pg_proc"
        " where pronamespace = 'holdfast'::regnamespace"
    ).fetchall()
    assert len(found) > 60
    async with db.tool(two.a.id) as connection:
        for (sql,) in found:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="schema holdfast"):
                await connection.execute(sql)
            await connection.rollback()


@pytest.mark.parametrize("sql", BACK)
async def test_nothing_a_library_does_to_it_leads_out(db, two, sql):
    async with db.tool(two.a.id) as connection:
        await connection.commit()
        await connection.set_autocommit(True)
        for one in sql.split(";"):
            await connection.execute(one)
        assert await notes(connection) in ([two.a.mark], []), "it is in its tenant, or in none"
        with pytest.raises(psycopg.Error):
            await connection.execute("select * from holdfast.runs")
        assert (await (await connection.execute("select current_user")).fetchone()) == ("holdfast_tools",)


async def test_nothing_of_it_meets_the_next(db, two):
    async with db.tool(two.a.id) as connection:
        await connection.execute("create temporary table mine as select * from public.orders")
        await connection.execute("set application_name = 'a'; listen gossip")
        await connection.execute("select pg_advisory_lock(7)")
    async with db.tool(two.b.id) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await connection.execute("select * from mine")
        await connection.rollback()
        assert await (await connection.execute("select pg_try_advisory_lock(7)")).fetchone() == (True,)
        await connection.execute("notify gossip")


async def test_the_block_is_one_transaction(db, two):
    async def fails():
        async with db.tool(two.a.id) as connection:
            await connection.execute("insert into orders values (%s, 2, 'half')", [two.a.id])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    async with db.tool(two.a.id) as connection:
        assert await notes(connection) == [two.a.mark]


async def test_whoever_runs_sql_sets_the_tenant_this_is_stated_and_not_prevented(db, two):
    """As on every connection: a scope against mistakes. What it cannot reach at all is Holdfast's own."""
    async with db.tool(two.a.id) as connection:
        await connection.execute("select set_config('holdfast.tenant', %s, false)", [str(two.b.id)])
        assert await notes(connection) == [two.b.mark]


async def test_a_login_that_may_not_become_it_is_told_what_to_do(two):
    async with Database.open(two.scene.database.api_url, role="api") as opened:
        with pytest.raises(RoleTooWeak, match="holdfast migrate"):
            async with opened.tool(uuid4()):
                pass
