"""A tool's own rows, by the connection that its run hands it: in the run's tenant, and only while the run is held."""

from typing import Any

import psycopg
import pytest
from pydantic_ai import RunContext

from engine.agents import agent
from holdfast import RunScope, effect
from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT

TABLE = """
create table public.orders (tenant uuid not null default nullif(current_setting('holdfast.tenant', true), '')::uuid,
  name text not null, primary key (tenant, name));
alter table public.orders enable row level security;
create policy tenant on public.orders using (tenant = nullif(current_setting('holdfast.tenant', true), '')::uuid);
grant select, insert on public.orders to holdfast_tools;
insert into public.orders values (gen_random_uuid(), 'of another');
"""


@pytest.fixture
def orders(database):
    """The names of this tenant's orders, as a superuser sees them."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(TABLE)
        sql = "select name from public.orders where tenant = %s order by 1"
        yield lambda: [name for (name,) in admin.execute(sql, [DEFAULT_TENANT]).fetchall()]


def ordering(before_commit: Any = lambda: None) -> Any:
    made = agent([("order", {"name": "tea"}, "a")], "done", deps_type=RunScope)

    @made.tool
    @effect.idempotent
    async def order(ctx: RunContext[RunScope], name: str) -> list[str]:
        async with ctx.deps.connection() as connection:
            await connection.execute("insert into orders (name) values (%s) on conflict do nothing", [name])
            seen = await (await connection.execute("select name from orders")).fetchall()
            before_commit()
        return [one for (one,) in seen]

    return made


async def test_a_tool_writes_and_reads_its_tenants_rows(make_lab, orders):
    lab = await make_lab(ordering(), deps=lambda scope: scope)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [finished] = await lab.of(ev.ToolFinished)
    assert (await lab.content(finished.result))["value"] == ["tea"]
    assert orders() == ["tea"]


async def test_one_whose_run_was_lost_commits_nothing(make_lab, orders):
    lab: Any = None

    def lose() -> None:
        lab.lease.expired = True

    lab = await make_lab(ordering(lose), deps=lambda scope: scope)
    await lab.start()
    assert await lab.work() == "lost"
    assert orders() == []
