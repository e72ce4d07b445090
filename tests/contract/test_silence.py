"""A peer that vanishes without a word: every wait on a connection ends, and what is safe to repeat goes on elsewhere.

Each test lets one connection fall silent for good and leaves the way open for others.
"""

import asyncio
import socket
import threading

import psycopg
import pytest
from uuid_utils.compat import uuid7

from holdfast.domain.errors import DatabaseUnavailable
from holdfast.store import hints as hints_module
from holdfast.store import leases, pool
from holdfast.store.errors import is_connection_lost
from holdfast.store.hints import Hints
from holdfast.store.pool import Database
from holdfast.worker.lease import Lease, now
from holdfast.worker.stall import StallWatch
from holdfast.worker.verbs import LeaseVerbs
from support.journals import hold_run, keys, noted, open_journal
from support.proxy import Proxy

PATIENCE_S = 60
SILENCE_S = 0.5


@pytest.fixture
async def proxy(database):
    async with Proxy(database.worker_url) as proxy:
        yield proxy


@pytest.fixture
def impatient(monkeypatch):
    """A statement may take no time at all, its answer not much more."""
    monkeypatch.setattr(pool, "_ON_THE_WAY_S", SILENCE_S)


@pytest.fixture
async def db(proxy, impatient):
    async with Database.open(proxy.url, role="worker", statement_timeout_s=0.1, prepared=False) as db:
        yield db


async def in_time(waiting):
    async with asyncio.timeout(PATIENCE_S):
        return await waiting


async def test_a_statement_that_is_never_answered_is_a_lost_connection(db, proxy):
    connection = await db.connect()
    proxy.swallow(b"select 'here'")
    with pytest.raises(psycopg.OperationalError) as lost:
        await in_time(connection.execute("select 'here'"))
    assert is_connection_lost(lost.value)
    assert connection.closed


async def test_a_verb_that_is_never_answered_is_repeated_on_another_connection(db, proxy):
    worker = uuid7()
    proxy.swallow(b"holdfast.register_worker(")
    await in_time(leases.register_worker(db, worker, "h", 1, {"t": ["1"]}, 60))
    assert proxy.swallowed.value == 1
    proxy.swallow(b"holdfast.tick(")
    await in_time(leases.tick(db, 1))
    assert proxy.swallowed.value == 2


async def test_a_transaction_that_is_never_answered_ends(db, proxy):
    async def scoped():
        async with db.tenant(uuid7()) as connection:
            await connection.execute("select 'here'")

    proxy.swallow(b"select 'here'")
    with pytest.raises(psycopg.OperationalError):
        await in_time(scoped())


async def test_connections_that_fall_silent_while_they_are_made_do_not_use_up_the_pool(proxy, impatient):
    """The pool makes connections in three tasks of its own: each could be lost to one that is never answered."""
    async with Database.open(proxy.url, role="worker", statement_timeout_s=1, max_size=4) as db:
        for nth in range(1, 5):
            proxy.swallow(b"synchronous_commit")  # the settings of a new session
            proxy.cut_all()
            await in_time(leases.tick(db, 1))
            await proxy.swallowed.wait(nth)


async def test_a_server_that_is_silent_from_the_start_is_said_to_be_away(proxy, impatient):
    proxy.swallow(b"synchronous_commit")
    with pytest.raises(DatabaseUnavailable):
        async with asyncio.timeout(PATIENCE_S), Database.open(proxy.url, role="worker", statement_timeout_s=0.1):
            pass


async def test_an_append_does_not_wait_for_a_silent_server_to_be_configured(proxy, database):
    """After a give-up a lane connects anew with the next batch in its hands."""
    from holdfast.store.journal import JournalWriter

    held = hold_run(database.admin_url)
    async with (
        Database.open(proxy.url, role="worker") as db,
        JournalWriter(db, connections=1, deadline_s=1.0) as writer,
    ):
        journal = open_journal(writer, held)
        proxy.refuse()
        proxy.cut_all()
        with pytest.raises(DatabaseUnavailable):
            await in_time(journal.append(noted("away")))
        proxy.swallow(b"synchronous_commit")
        proxy.accept()
        with pytest.raises(DatabaseUnavailable):
            await in_time(journal.append(noted("silent")))
        assert proxy.swallowed.value == 1
        await in_time(journal.append(noted("back")))
    assert keys(database.admin_url, held) == ["back"]


@pytest.fixture
async def heard_elsewhere(database):
    async with Database.open(database.worker_url, role="worker") as db, Hints(db) as hints:
        await in_time(hints.listening.wait())
        yield hints


async def test_a_notifier_that_fell_silent_is_made_again(db, proxy, heard_elsewhere):
    with heard_elsewhere.subscribe("r:*") as subscription:
        async with Hints(db) as hints:
            await in_time(hints.listening.wait())
            proxy.swallow(b"r:lost")
            hints.notify("r:lost")
            assert await in_time(subscription.wait(PATIENCE_S)) == {"r:lost"}


async def test_a_listener_that_fell_silent_is_made_again(db, proxy, heard_elsewhere, monkeypatch):
    monkeypatch.setattr(hints_module, "_CHECK_S", SILENCE_S)
    proxy.swallow(b"select 1")  # by which a listener with nothing to hear looks whether anybody is there
    async with Hints(db) as hints:
        await proxy.swallowed.wait(1, PATIENCE_S)
        with hints.subscribe("r:*") as subscription:
            assert await in_time(subscription.wait(PATIENCE_S)) == set(), "connected again: look for yourself"
            heard_elsewhere.notify("r:heard")
            assert await in_time(subscription.wait(PATIENCE_S)) == {"r:heard"}


async def test_a_lease_is_renewed_on_another_connection_while_it_lasts(db, proxy):
    lease_s, renewed, lost, worker = 8.0, threading.Semaphore(0), list[str](), uuid7()
    watch = StallWatch(thread=threading.get_ident(), warn_s=3600, steps=tuple)
    registered_at = now()
    await leases.register_worker(db, worker, "h", 1, {"t": ["1"]}, lease_s)
    lease = Lease(
        verbs=LeaseVerbs(db, lease_s),
        worker=worker,
        lease_s=lease_s,
        registered_at=registered_at,
        watch=watch,
        holding=tuple,
        renewed=lambda _: renewed.release(),
        lost=lost.append,
    )
    proxy.swallow(b"holdfast.renew_lease(")
    lease.start()
    try:
        assert await asyncio.to_thread(renewed.acquire, timeout=PATIENCE_S)
    finally:
        lease.end(leave=False)
        await asyncio.to_thread(lease.join, PATIENCE_S)
    assert proxy.swallowed.value == 1
    assert not lost


async def test_the_kernel_looks_after_silent_connections(db):
    async with db.connection() as connection:
        with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as found:
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
