"""Acting as the real login roles: what they cannot do, and that what they can do reaches the rows."""

from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import RoleTooPowerful
from holdfast.store.pool import Database
from holdfast.store.roles import check
from support.store_scene import TENANT, Member, approval, outcomes

LOGINS = ("holdfast_worker", "holdfast_api", "holdfast_halt")
TABLES = (
    "runs",
    "events",
    "blobs",
    "signals",
    "approvals",
    "sessions",
    "invalidations",
    "subject_keys",
    "halts",
    "live",
    "tenants",
)


def refused(act):
    try:
        act()
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def fill(scene, tenant):
    """A row of this tenant in every table."""
    session = uuid4()
    [held] = scene.hold(tenant=tenant, session=session)
    scene.signal(held.run, tenant=tenant)
    assert outcomes(scene.worker, Member(held, approvals=[approval()])) == ["appended"]
    scene.halt("run", str(uuid4()), tenant=tenant)
    scene.call(
        scene.api,
        tenant,
        "select holdfast.invalidate(%s, %s, null, gen_random_uuid(), %s, 1, 1, '{}', 'd', 'r', 'somebody')",
        tenant,
        session,
        held.run,
    )
    scene.call(
        scene.api,
        tenant,
        "insert into holdfast.subject_keys (tenant, subject, kek) values (%s, 's', 'k') returning 1",
        tenant,
    )
    scene.call(
        scene.worker,
        tenant,
        "insert into holdfast.live (tenant, run, seq, attempt, part, start, kind, body, length)"
        " values (%s, %s, 1, 1, 0, 0, 'text', 'x', 1) returning 1",
        tenant,
        held.run,
    )
    return held


@pytest.mark.parametrize("login", LOGINS)
def test_a_tenant_sees_its_own_rows_and_no_others(scene, login):
    other = uuid4()
    fill(scene, TENANT)
    fill(scene, other)
    connection = scene.connect(login)
    for table in TABLES:
        column = "id" if table == "tenants" else "tenant"
        for tenant in (TENANT, other):
            seen = {row[0] for row in scene.call(connection, tenant, f"select {column} from holdfast.{table}")}
            assert seen == {tenant}, table


@pytest.mark.parametrize("login", LOGINS)
def test_without_a_tenant_nothing_is_seen_nor_after_one_was_set(scene, login):
    fill(scene, TENANT)
    connection = scene.connect(login)
    for _ in range(2):
        for table in TABLES:
            assert connection.execute(f"select count(*) from holdfast.{table}").fetchone() == (0,), table
        scene.call(connection, TENANT, "select 1")


FORBIDDEN = [
    "update holdfast.runs set state = 'queued'",
    "delete from holdfast.runs",
    "insert into holdfast.events values (holdfast_tenant(), gen_random_uuid(), 1, 't', now(), '', '')",
    "update holdfast.events set body = ''",
    "delete from holdfast.events",
    "update holdfast.blobs set body = ''",
    "insert into holdfast.signals select * from holdfast.signals",
    "update holdfast.approvals set state = 'approved'",
    "delete from holdfast.halts",
    "insert into holdfast.halts select * from holdfast.halts",
    "update holdfast.halts set lifted_at = now()",
    "insert into holdfast.halt_acks select * from holdfast.halt_acks",
    "delete from holdfast.halt_acks",
    "update holdfast.subject_keys set wrapped = ''",
    "delete from holdfast.subject_keys",
    "select * from holdfast.workers",
    "update holdfast.workers set lease_until = 'infinity'",
    "update holdfast.clock set skew = '1 year'",
    "insert into holdfast.idempotency_keys select * from holdfast.idempotency_keys",
    "update holdfast.principals set disabled_at = null",
    "insert into holdfast.memberships select * from holdfast.memberships",
    "delete from holdfast.memberships",
    "update holdfast.api_keys set expires_at = null",
    "insert into holdfast.api_keys select * from holdfast.api_keys",
    "update holdfast.identities set principal = gen_random_uuid()",
    "update holdfast.tenants set state = 'active'",
    "delete from holdfast.audit_log",
    "update holdfast.audit_log set actor = ''",
    "insert into holdfast.audit_log select * from holdfast.audit_log",
    "select * from holdfast.events_other",
    "select * from holdfast.blobs_other",
    "truncate holdfast.live",
    "create table holdfast.mine ()",
    "create function holdfast.mine() returns int language sql as 'select 1'",
    "alter table holdfast.runs disable row level security",
    "set role holdfast_owner",
    "set role holdfast_engine",
    "set session authorization holdfast_engine",
    "select holdfast.append_rare('{}', '{}', '{}', '{}', now())",
    "select holdfast.create_partition('events', now())",
    "select * from holdfast.claimable(1, '{}', '{}')",
]


@pytest.mark.parametrize("login", LOGINS)
def test_what_no_login_may(scene, login):
    connection = scene.connect(login)
    for sql in FORBIDDEN:
        statement = sql.replace("holdfast_tenant()", f"'{TENANT}'")
        assert refused(lambda statement=statement: scene.call(connection, TENANT, statement)), sql


WORKERS_ONLY = [
    lambda scene, held: outcomes(scene.api, Member(held)),
    lambda scene, held: scene.claim(held.worker, connection=scene.api),
    lambda scene, _: scene.tick(connection=scene.api),
    lambda scene, held: scene.api.execute("select holdfast.release_runs(%s, '{}', false)", [held.worker]),
    lambda scene, held: scene.api.execute("select holdfast.leave(%s)", [held.worker]),
    lambda scene, held: scene.api.execute("select holdfast.renew_lease(%s, '{}')", [held.worker]),
    lambda scene, _: scene.api.execute("select holdfast.register_worker(gen_random_uuid(), 'h', 1, '{}', 1)"),
]


def test_the_apis_login_does_no_workers_work(scene):
    [held] = scene.hold()
    for number, act in enumerate(WORKERS_ONLY):
        assert refused(lambda act=act: act(scene, held)), number


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "sql",
    [
        "insert into holdfast.sessions (tenant, id, subject, principal) values (%s, gen_random_uuid(), 's', 'p')",
        "insert into holdfast.subject_keys (tenant, subject, kek) values (%s, 'x', 'k')",
    ],
)
def test_nothing_is_inserted_for_another_tenant(scene, login, sql):
    connection = scene.connect(login)
    scene.call(connection, TENANT, f"{sql} returning 1", TENANT)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.call(connection, TENANT, f"{sql} returning 1", uuid4())


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "verb",
    [
        lambda scene, c: scene.call(
            c,
            TENANT,
            "select holdfast.deliver_signal(%s, gen_random_uuid(), 'wake', '', null, null, 'me', null)",
            uuid4(),
        ),
        lambda scene, c: scene.call(
            c,
            TENANT,
            "select holdfast.decide_approval(%s, gen_random_uuid(), 'approved', '', '', null, null, 0, null)",
            uuid4(),
        ),
        lambda scene, c: c.execute(
            "select holdfast.deliver_signal(%s, gen_random_uuid(), 'wake', '', null, null, 'me', null)", [TENANT]
        ),
    ],
)
def test_an_argument_says_where_to_look_and_not_who_may(scene, login, verb):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        verb(scene, scene.connect(login))


def test_the_owner_sees_no_tenants_rows_either(scene):
    fill(scene, TENANT)
    with scene.database.as_owner() as owner:
        for table in TABLES:
            assert owner.execute(f"select count(*) from holdfast.{table}").fetchone() == (0,), table


def test_a_definer_function_without_a_policy_for_its_owner_shows(scene):
    """The trap: such an append finds no row and answers as if it were fenced. Acting as the worker shows it."""
    [held] = scene.hold()
    scene.admin.execute("drop policy engine on holdfast.runs")
    assert outcomes(scene.worker, Member(held)) == ["fenced"], "else this test no longer shows the trap"
    scene.admin.execute("create policy engine on holdfast.runs to holdfast_engine using (true) with check (true)")
    assert outcomes(scene.worker, Member(held)) == ["appended"]


@pytest.mark.parametrize("login", LOGINS)
async def test_the_logins_of_holdfast_pass_the_check(scene, login):
    async with await psycopg.AsyncConnection.connect(scene.database.url_of(login)) as connection:
        await check(connection)


CREATE_FUNCTION = (
    "grant create on schema holdfast to {0}; set role {0};"
    " create function holdfast.mine() returns int language sql as 'select 1'; reset role"
)


@pytest.mark.parametrize(
    ("power", "says"),
    [
        ("alter role {0} superuser", "is a superuser"),
        ("alter role {0} bypassrls", "has BYPASSRLS"),
        ("alter role {0} createrole", "has CREATEROLE"),
        ("grant holdfast_engine to {0}", "is a member"),
        ("grant holdfast_owner to {0}", "is a member"),
        ("create role {0}_between; grant holdfast_engine to {0}_between; grant {0}_between to {0}", "is a member"),
        ("grant create on schema holdfast to {0}; set role {0}; create table holdfast.mine (); reset role", "owns"),
        (CREATE_FUNCTION, "owns"),
    ],
)
async def test_a_login_that_is_too_powerful_is_refused_and_told_why(scene, power, says):
    login = f"test_{uuid4().hex}"
    scene.admin.execute(f"create role {login} login")
    try:
        scene.admin.execute(power.format(login))
        with pytest.raises(RoleTooPowerful, match=says) as refused:
            async with Database.open(scene.database.url_of(login), role="worker"):
                pass
        assert "holdfast migrate" in str(refused.value)
        assert "holdfast_worker" in str(refused.value)
    finally:
        scene.admin.execute("drop table if exists holdfast.mine; drop function if exists holdfast.mine()")
        scene.admin.execute(f"drop owned by {login}; drop role {login}; drop role if exists {login}_between")
