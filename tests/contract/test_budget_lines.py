"""The runs of a tenant with budgets go in turn, and keep nobody else from anything."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from holdfast.domain.errors import BoundWanted, OverBudget
from holdfast.domain.events import Messages, ModelRequested, ModelResponded, Usage
from holdfast.domain.ids import DEFAULT_TENANT, Ref
from holdfast.store.journal import JournalWriter, Spending, Use
from holdfast.store.pool import Database
from support.journals import KEY, hold_run
from support.proxy import Proxy

TEXT = Ref("0" * 64)


def request(step: int = 1) -> ModelRequested:
    return ModelRequested(
        scope="", step=step, attempt=1, model="gpt", messages=Messages(keep=0, add=[TEXT]), reserved=True
    )


def answer(step: int = 1) -> ModelResponded:
    return ModelResponded(
        scope="", step=step, attempt=1, response=TEXT, history=Messages(keep=0, add=[]), model="gpt",
        usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1,
    )  # fmt: skip


def spending(what, usd, step: int = 1) -> Spending:
    return Spending(
        what=what, step=f"#{step}", attempt=1, usd=usd, requests=1, models=[Use("gpt", "openai", usd, 0, 1)]
    )


def allow(database, amount: int, tenant=DEFAULT_TENANT) -> None:
    with psycopg.connect(database.api_url, autocommit=True) as api, api.transaction():
        api.execute("select set_config('holdfast.tenant', %s, true)", [str(tenant)])
        api.execute(
            "select holdfast.set_budget(%s, %s, 'tenant', '', 'usd', 'day', %s, 'me')", [tenant, uuid7(), amount]
        )


def window(database) -> tuple[int, int]:
    with psycopg.connect(database.admin_url) as admin:
        return admin.execute("select spent, held from holdfast.budget_windows").fetchone()


@pytest.fixture
async def writer(database):
    async with Database.open(database.worker_url, role="worker") as db, JournalWriter(db) as made:
        yield made


async def test_a_tenant_with_budgets_is_asked_for_bounds_and_then_gives_them(database, writer):
    allow(database, 100)
    journal = writer.open(hold_run(database.admin_url), KEY)
    with pytest.raises(BoundWanted):
        await journal.append(request())
    assert writer.bounding.is_so(DEFAULT_TENANT)
    await journal.append(request(), rows=[spending("reserve", 60)])
    assert window(database) == (0, 60)
    journal.hold(answer(), rows=[spending("settle", 20)])
    with pytest.raises(OverBudget) as refused:
        await journal.append(request(2), rows=[spending("reserve", 90, 2)])
    assert (refused.value.shortage.left, refused.value.shortage.wanted) == (80, 90)
    await journal.flush()
    assert window(database) == (20, 0), "what was used is settled though the next was refused"


async def test_of_what_one_run_announces_side_by_side_each_is_judged_by_itself(database, writer):
    allow(database, 100)
    writer.bounding.note(DEFAULT_TENANT)
    journal = writer.open(hold_run(database.admin_url), KEY)
    asked = [journal.append(request(step), rows=[spending("reserve", 60, step)]) for step in (1, 2)]
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(isinstance(one, OverBudget) for one in said) == [False, True]
    assert window(database) == (0, 60)


async def test_many_runs_share_one_budget_to_its_last_unit(database, writer):
    allow(database, 64 * 10)
    writer.bounding.note(DEFAULT_TENANT)
    journals = [writer.open(hold_run(database.admin_url), KEY) for _ in range(80)]
    said = await asyncio.gather(
        *(journal.append(request(), rows=[spending("reserve", 10)]) for journal in journals), return_exceptions=True
    )
    assert sum(isinstance(one, OverBudget) for one in said) == 16
    assert window(database) == (0, 640)


async def test_a_window_that_somebody_holds_keeps_other_tenants_from_nothing(database, writer):
    other = uuid4()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("insert into holdfast.tenants (id, name) values (%s, 'other')", [other])
    for tenant in (DEFAULT_TENANT, other):
        allow(database, 10**9, tenant)
        writer.bounding.note(tenant)
    stuck = [writer.open(hold_run(database.admin_url), KEY) for _ in range(20)]
    free = [writer.open(hold_run(database.admin_url, tenant=other), KEY) for _ in range(20)]
    await asyncio.gather(*(journal.append(request(), rows=[spending("reserve", 1)]) for journal in (*stuck, *free)))
    with psycopg.connect(database.admin_url) as holder:
        holder.execute("select 1 from holdfast.budget_windows where tenant = %s for update", [DEFAULT_TENANT])
        waiting = [
            asyncio.create_task(journal.append(request(2), rows=[spending("reserve", 1, 2)])) for journal in stuck
        ]
        for step in range(2, 12):
            await asyncio.gather(
                *(journal.append(request(step), rows=[spending("reserve", 1, step)]) for journal in free)
            )
        assert not any(task.done() for task in waiting)
        holder.rollback()
    await asyncio.gather(*waiting)


async def test_who_waited_for_a_window_in_vain_asks_again(database):
    allow(database, 100)
    sent = asyncio.Queue[str]()
    async with (
        Database.open(database.worker_url, role="worker") as db,
        JournalWriter(
            db, probe=lambda point: sent.put_nowait(point) if point == "append.before_send" else None
        ) as writer,
    ):
        writer.bounding.note(DEFAULT_TENANT)
        journal = writer.open(hold_run(database.admin_url), KEY)
        await journal.append(request(), rows=[spending("reserve", 10)])
        await sent.get()
        with psycopg.connect(database.admin_url) as holder:
            holder.execute("select 1 from holdfast.budget_windows for update")
            waiting = asyncio.create_task(journal.append(request(2), rows=[spending("reserve", 20, 2)]))
            await sent.get()  # which waits at the window
            await sent.get()  # the next, for the first was in vain
            assert not waiting.done()
            holder.rollback()
        await waiting
    assert window(database) == (0, 30)


@pytest.mark.parametrize("cut", ["cut_request", "cut_reply"])
async def test_an_append_whose_connection_is_lost_reserves_and_settles_once(database, cut):
    allow(database, 100)
    marked = replace(answer(), model="find this append")
    async with (
        Proxy(database.worker_url) as proxy,
        Database.open(proxy.url, role="worker") as db,
        JournalWriter(db) as writer,
    ):
        writer.bounding.note(DEFAULT_TENANT)
        journal = writer.open(hold_run(database.admin_url), KEY)
        await journal.append(request(), rows=[spending("reserve", 60)])
        journal.hold(marked, rows=[spending("settle", 25), spending("spend", 5, 9)])
        getattr(proxy, cut)(b"find this append")
        await journal.append(request(2), rows=[spending("reserve", 40, 2)])
        assert proxy.cuts.value == 1
    assert window(database) == (30, 40)
