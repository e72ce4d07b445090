"""`Database`: the role of the process, the scope of a tenant, and what happens when the database goes away."""

import asyncio
from uuid import uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from holdfast.domain.errors import DatabaseUnavailable, SchemaMismatch
from holdfast.domain.halts import Authority, HaltScope
from holdfast.store import approvals, claims, errors, halts, leases, runs, signals
from holdfast.store.idempotency import Idempotency
from holdfast.store.patience import Patience
from holdfast.store.pool import Database
from holdfast.store.sessions import get_session
from support.processes import until
from support.store_scene import AT, TENANT, stand


@pytest.fixture
async def db(database):
    async with Database.open(database.url, role="worker", deadline_s=20) as opened:
        yield opened


@pytest.fixture
async def poor(database):
    """As behind a pooler that deals out sessions by transaction."""
    async with Database.open(database.url, role="worker", prepared=False) as opened:
        yield opened


@pytest.fixture
def other(database):
    with psycopg.connect(database.admin_url) as admin:
        return stand(admin, uuid4())


async def accept(db, tenant=TENANT, **more):
    run = uuid7()
    said = await runs.accept_run(
        db,
        tenant,
        run,
        task="t",
        task_version="1",
        principal="p",
        subject="s",
        at=AT,
        body="{}",
        hash=b"h" * 32,
        blobs={b"d": b"x"},
        **more,
    )
    assert (said.outcome, said.run) == ("accepted", run)
    assert said.accepted_at is not None
    return run


@pytest.mark.parametrize("role", ["worker", "api"])
async def test_a_url_without_a_user_logs_in_as_the_role_of_the_process(database, role):
    async with Database.open(database.url, role=role) as db, db.connection() as connection:
        row = await (await connection.execute("select current_user, current_setting('application_name')")).fetchone()
    assert row == (f"holdfast_{role}", f"holdfast {role}")


async def test_the_verbs_one_after_another(db):
    session = uuid7()
    run = await accept(db, session=session, idempotency=Idempotency("p", "k", b"r"))
    worker = uuid7()
    await leases.register_worker(db, worker, "h", 1, {"t": ["1"]}, 60)
    [claimed] = await claims.claim_runs(db, worker, 5, ["t"], ["1"], [5])
    assert (claimed.run, claimed.worker, claimed.epoch, claimed.session) == (run, worker, 1, session)
    told = await signals.deliver_signal(db, TENANT, run, "cancel", "{}", by="me", dedupe="c")
    assert told == signals.Delivered("delivered", 1)
    assert await signals.deliver_signal(db, TENANT, run, "cancel", "{}", by="me", dedupe="c") == signals.Delivered(
        "repeated", 1
    )
    gone = uuid7()
    assert await leases.renew_lease(db, worker, [run, gone]) == leases.Renewal(
        True, [leases.Attention(TENANT, run, 1, True)], [], [gone]
    )
    with db.connect_sync() as connection:
        assert leases.renew_lease_sync(connection, worker, []).stray == [run]
    assert await claims.release_runs(db, worker, [run]) == 1
    assert (await leases.tick(db, 10)).moved == 0
    assert await leases.leave(db, worker) == 0
    row = await runs.get_run(db, TENANT, run)
    assert row is not None
    assert (row.state.value, row.cancelling, row.waiting_on) == ("queued", True, None)
    assert (await get_session(db, TENANT, session)).subject == "s"
    assert await approvals.list_approvals(db, TENANT) == []
    assert await approvals.get_approval(db, TENANT, uuid4()) is None
    said = await approvals.decide_approval(db, TENANT, uuid4(), "approved", "d", by="me")
    assert said.outcome == "absent"


ADMIN = {"reason": "why", "by": "me", "authority": Authority.ADMIN}


async def test_halts_are_the_apis(database, db):
    async with Database.open(database.url, role="api") as api:
        declared = await halts.declare_halt(api, TENANT, uuid4(), HaltScope.TASK, "t", **ADMIN)
        assert declared.is_new
        again = await halts.declare_halt(api, TENANT, uuid4(), HaltScope.TASK, "t", **ADMIN)
        assert again == (declared.id, False)
        lifted = [await halts.lift_halt(api, TENANT, declared.id, by="me", authority=Authority.ADMIN) for _ in range(2)]
        assert lifted == ["lifted", "unchanged"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await halts.declare_halt(db, TENANT, uuid4(), HaltScope.TASK, "t", **ADMIN)


async def test_a_tenant_is_set_for_its_transaction_only(db, other):
    await a_tenant_is_set_for_its_transaction_only(db, other)


async def test_a_tenant_is_set_for_its_transaction_only_without_prepared_statements(poor, other):
    await a_tenant_is_set_for_its_transaction_only(poor, other)


async def a_tenant_is_set_for_its_transaction_only(db, other):
    ours, theirs = await accept(db), await accept(db, other)
    for _ in range(8):  # more than it takes for a statement to be prepared
        for tenant, run in ((TENANT, ours), (other, theirs)):
            async with db.tenant(tenant) as connection:
                rows = await (await connection.execute("select id from holdfast.runs")).fetchall()
            assert rows == [(run,)]
            assert [row.id for row in await runs.list_runs(db, tenant)] == [run]
        async with db.connection() as connection:
            assert await (await connection.execute("select id from holdfast.runs")).fetchall() == []


async def test_what_fails_in_a_tenants_scope_is_undone_and_the_connection_is_good(db):
    async def insert_and_fail():
        async with db.tenant(TENANT) as connection:
            await connection.execute(
                "insert into holdfast.sessions (tenant, id, subject, principal) values (%s, %s, 's', 'p')",
                [TENANT, uuid4()],
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await insert_and_fail()
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with db.tenant(TENANT) as connection:
            await connection.execute("select 1 / 0")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await db.fetch(
            TENANT,
            "deliver_signal",
            {
                "tenant": uuid4(),
                "run": uuid4(),
                "kind": "wake",
                "body": "",
                "content": None,
                "digest": None,
                "by": "m",
                "dedupe": None,
            },
        )
    async with db.tenant(TENANT) as connection:
        assert await (await connection.execute("select count(*) from holdfast.sessions")).fetchone() == (0,)


async def test_sessions_have_their_settings_and_a_poolers_have_none(db, poor):
    names = ("synchronous_commit", "default_transaction_isolation", "statement_timeout", "jit", "timezone")
    async with db.connection() as connection:
        found = [(await (await connection.execute(f"show {name}")).fetchone())[0] for name in names]
    assert found == ["on", "read committed", "1min", "off", "UTC"]
    async with poor.connection() as connection:
        assert await (await connection.execute("show statement_timeout")).fetchone() == ("0",)
        for _ in range(10):
            await connection.execute("select 1")
        assert await (await connection.execute("select count(*) from pg_prepared_statements")).fetchone() == (0,)


def cut_all(database, login):
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = %s and datname = current_database()",
            [login],
        )


async def test_connections_that_were_cut_are_made_again(database, db):
    run = await accept(db)
    for _ in range(3):
        cut_all(database, "holdfast_worker")
        assert (await runs.get_run(db, TENANT, run)).id == run


@pytest.mark.parametrize("turns", range(7))
async def test_a_cancellation_that_comes_together_with_a_connection_is_not_lost(database, turns):
    """A worker that is told to end just after its start cancels what waits for the first connections."""
    begun, free = asyncio.Event(), asyncio.Event()
    async with Database.open(database.url, role="worker", max_size=1) as db:

        async def hold():
            async with db.connection():
                begun.set()
                await free.wait()

        async def work_on():
            async with db.connection():
                await asyncio.Event().wait()

        holder = asyncio.create_task(hold())
        await begun.wait()
        waiter = asyncio.create_task(work_on())
        while not db._pool._waiting:
            await asyncio.sleep(0)
        free.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter], timeout=20)
        assert waiter.cancelled()
        await holder
        async with db.connection():
            pass


async def test_a_signal_goes_in_once_though_connections_are_cut(database, db):
    run = await accept(db)
    for seq in (1, 2, 3):
        cut_all(database, "holdfast_worker")
        assert await signals.deliver_signal(db, TENANT, run, "wake", "{}", by="me") == signals.Delivered(
            "delivered", seq
        )


async def test_a_serialization_failure_is_repeated(db):
    tried = []

    async def act():
        tried.append(1)
        async with db.connection() as connection:
            if len(tried) < 3:
                await connection.execute("do $$ begin raise exception 'x' using errcode = '40001'; end $$")
            return "done"

    assert await db.repeat(act) == "done"
    assert len(tried) == 3


async def test_what_repeating_does_not_mend_surfaces_at_once(db):
    tried = []

    async def act():
        tried.append(1)
        async with db.connection() as connection:
            await connection.execute("select 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await db.repeat(act)
    assert len(tried) == 1


async def test_a_database_that_is_away_is_said_with_its_cause():
    with pytest.raises(DatabaseUnavailable, match="HOLDFAST_DATABASE_URL") as said:
        async with Database.open("postgresql://127.0.0.1:1/x", role="api"):
            pass
    assert isinstance(said.value.__cause__, psycopg.OperationalError)


async def test_a_wrong_schema_is_refused_with_the_command(database, empty_database):
    with pytest.raises(SchemaMismatch, match="holdfast migrate"):
        async with Database.open(empty_database.url, role="worker"):
            pass
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("update holdfast.schema_version set version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="Upgrade"):
        async with Database.open(database.url, role="worker"):
            pass


async def test_pages_are_stable_while_runs_come_in(db):
    first = [await accept(db) for _ in range(7)]
    seen, before = [], None
    while page := await runs.list_runs(db, TENANT, before=before, limit=3):
        seen += [row.id for row in page]
        before = (page[-1].created_at, page[-1].id)
        await accept(db)
    assert seen == first[::-1]


async def test_filters(db):
    run = await accept(db, session=uuid7())
    await accept(db)
    row = await runs.get_run(db, TENANT, run)
    assert [r.id for r in await runs.list_runs(db, TENANT, session=row.session)] == [run]
    assert len(await runs.list_runs(db, TENANT, task="t", state=row.state)) == 2
    assert await runs.list_runs(db, TENANT, task="other") == []
    assert await runs.get_run(db, uuid4(), run) is None


LOST = ("57P01", "57P02", "57P03", "57P05", "53300", "08006", "08003", "25006", "25P03")
AGAIN = ("40001", "40P01")
SURFACES = ("23505", "57014", "42501", "22P05", "55P03")


async def test_sqlstates_mean_one_thing(db):
    for code in LOST + AGAIN + SURFACES:
        async with db.connection() as connection:
            with pytest.raises(psycopg.Error) as raised:
                await connection.execute(f"do $$ begin raise exception 'x' using errcode = '{code}'; end $$")
        assert errors.is_connection_lost(raised.value) == (code in LOST), code
        assert errors.is_retryable(raised.value) == (code in AGAIN), code
        assert errors.retryable(raised.value) == (code not in SURFACES), code


async def test_a_closed_or_cut_connection_is_a_lost_one(database, db):
    connection = await db.connect()
    cut_all(database, "holdfast_worker")
    with pytest.raises(psycopg.Error) as cut:
        await connection.execute("select 1")
    with pytest.raises(psycopg.Error) as closed:
        await connection.execute("select 1")
    assert errors.is_connection_lost(cut.value)
    assert errors.is_connection_lost(closed.value)


async def test_many_at_once_share_the_pool(db):
    run = await accept(db)
    found = await asyncio.gather(*(runs.get_run(db, TENANT, run) for _ in range(50)))
    assert {row.id for row in found} == {run}


async def test_who_is_patient_waits_until_the_server_lets_them_in(database, pg_server):
    told: list[str] = []

    def let_in(why):
        told.append(why)
        pg_server.admin.execute(f"alter database {database.name} allow_connections true")

    pg_server.admin.execute(f"alter database {database.name} allow_connections false")
    async with Database.open(database.url, role="api", patience=Patience(60, let_in), max_size=1) as db:
        assert await db.value("schema_version", {})
    assert len(told) == 1
    assert "not currently accepting connections" in told[0]


async def test_patience_ends_and_is_none_for_a_login_that_is_refused(database, pg_server):
    told: list[str] = []
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        async with Database.open(database.url_of("nobody"), role="api", patience=Patience(60, told.append)):
            pass
    assert told == []
    pg_server.admin.execute(f"alter database {database.name} allow_connections false")
    with pytest.raises(DatabaseUnavailable, match="not currently accepting"):
        async with Database.open(database.url, role="api", patience=Patience(0.1, told.append)):
            pass
    assert len(told) == 1


async def test_the_connection_that_was_checked_is_the_one_that_is_used(database, pg_server):
    """Where places are few, one that was got is not given back."""

    def one(sql):
        return pg_server.admin.execute(sql, [database.name]).fetchone()[0]

    async with Database.open(database.url, role="api", max_size=1) as db:
        assert await db.value("schema_version", {})
    until(
        lambda: one("select count(*) from pg_stat_activity where datname = %s"), lambda left: left == 0, "all are gone"
    )
    assert one("select sessions from pg_stat_database where datname = %s") == 1


async def test_a_snapshot_is_none_of_the_pools_and_closed_when_whoever_reads_it_is_gone(database, pg_server):
    def open_snapshots():
        there = "select count(*) from pg_stat_activity where datname = %s and state = 'idle in transaction'"
        return pg_server.admin.execute(there, [database.name]).fetchone()[0]

    async with Database.open(database.url, role="worker", max_size=1, deadline_s=5) as db:
        begun = asyncio.Event()

        async def read():
            async with db.snapshot(TENANT):
                begun.set()
                await asyncio.Event().wait()

        reading = asyncio.create_task(read())
        await begun.wait()
        assert open_snapshots() == 1
        async with db.tenant(TENANT) as connection:
            await connection.execute("select 1")
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        until(open_snapshots, lambda found: found == 0, "it is closed")


async def test_a_snapshot_whose_server_goes_away_says_so(db):
    async def lose():
        async with db.snapshot(TENANT) as connection:
            connection.cut()
            await connection.execute("select 1")

    with pytest.raises(DatabaseUnavailable):
        await lose()
