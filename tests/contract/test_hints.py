"""Hints: heard by other processes, few statements, and a lost connection costs latency only."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from holdfast.store.hints import QUEUED, Hints, changed, live, signalled
from holdfast.store.pool import Database
from support.proxy import Proxy


@pytest.fixture
async def proxy(database):
    async with Proxy(database.api_url) as proxy:
        yield proxy


@pytest.fixture
async def sender(database):
    async with Database.open(database.worker_url, role="worker") as db, Hints(db) as hints:
        yield hints


@pytest.fixture
async def hearer(proxy):
    async with Database.open(proxy.url, role="api") as db, Hints(db) as hints:
        await asyncio.wait_for(hints.listening.wait(), 30)
        yield hints


async def heard(subscription, expected):
    """Payloads as they come, until all expected are there."""
    found = set()
    async with asyncio.timeout(30):
        while not found >= expected:
            found |= await subscription.wait(30)
    return found


async def test_subscribers_hear_exactly_what_they_asked_for(sender, hearer):
    run, other = uuid4(), uuid4()
    exact, several = hearer.subscribe(QUEUED), hearer.subscribe(changed(run), live(run))
    beginning, every = hearer.subscribe("s:*"), hearer.subscribe("*")
    sent = {QUEUED, changed(run), changed(other), live(run), signalled(run), signalled(other)}
    for payload in sent:
        sender.notify(payload)
    assert await heard(every, sent) == sent
    assert await exact.wait(0) == {QUEUED}
    assert await several.wait(0) == {changed(run), live(run)}
    assert await beginning.wait(0) == {signalled(run), signalled(other)}


async def test_a_closed_subscription_hears_no_more(hearer):
    with hearer.subscribe("q", "r:*") as closed:
        pass
    hearer.notify("q")
    assert await closed.wait(0) == set()
    assert (dict(hearer._exact), dict(hearer._beginnings)) == ({}, {})


async def test_a_process_hears_its_own_hints_at_once(hearer):
    with hearer.subscribe(QUEUED) as subscription:
        hearer.notify(QUEUED)
        assert await subscription.wait(0) == {QUEUED}


async def test_hints_of_a_moment_are_sent_once_and_in_one_statement(database, sender):
    with psycopg.connect(database.admin_url, autocommit=True) as listener:
        listener.execute("listen holdfast")
        for _ in range(100):
            sender.notify("q")
            sender.notify("r:1")
        sender.notify("end")
        heard_there = await asyncio.to_thread(lambda: list(listener.notifies(timeout=30, stop_after=3)))
    assert [notification.payload for notification in heard_there] == ["q", "r:1", "end"]


async def test_a_wait_ends_at_its_timeout_with_nothing(hearer):
    with hearer.subscribe("q") as subscription:
        assert await subscription.wait(0.01) == set()


async def test_a_lost_listener_is_made_again_and_wakes_everyone_to_look(sender, hearer, proxy):
    with hearer.subscribe("q") as subscription:
        await subscription.wait(0)
        proxy.cut_all()
        assert await asyncio.wait_for(subscription.wait(30), 30) == set()
        await asyncio.wait_for(hearer.listening.wait(), 30)
        sender.notify("q")
        assert await heard(subscription, {"q"}) == {"q"}


async def test_a_lost_notifier_sends_after_all(database, proxy):
    async with (
        Database.open(proxy.url, role="api") as lossy,
        Database.open(database.worker_url, role="worker") as steady,
        Hints(lossy) as sender,
        Hints(steady) as hearer,
    ):
        await asyncio.wait_for(hearer.listening.wait(), 30)
        await asyncio.wait_for(sender.listening.wait(), 30)
        with hearer.subscribe("r:*") as subscription:
            sender.notify("r:before")
            await heard(subscription, {"r:before"})
            proxy.refuse()
            proxy.cut_all()
            sender.notify("r:during")
            proxy.accept()
            await heard(subscription, {"r:during"})


async def test_no_hint_is_sent_inside_a_transaction_that_writes(database):
    """The rule is kept by the schema having no notify of its own: hints are this module's alone."""
    with psycopg.connect(database.admin_url) as admin:
        found = admin.execute(
            "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname = 'holdfast' and p.prosrc ~* '(pg_notify|\\mnotify\\M)'"
        ).fetchall()
    assert found == []
