"""The real login roles, used as an attacker would who got hold of a connection.

What is prevented is tested as prevented. What is not is stated, and tested to be so, that nobody believes otherwise:

- The tenant of a transaction is a setting, and whoever can run SQL can set it. It is a scope against mistakes and no
  wall against hostile code that holds a connection (invariant 7 of the design). Such code needs a login of its own.
- Names of tenants can be looked up, and the number of sessions and their states can be seen, by any login.
- Any login can take the halt lock and make appends wait, and can raise statements of its own in any number.
"""

from uuid import uuid4

import psycopg
import pytest
from two_tenants import LOGINS, SESSION

NO_RIGHT = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)


@pytest.fixture(params=LOGINS)
def attacker(request, two):
    """A connection that says it is of tenant a."""
    with psycopg.connect(two.scene.database.url_of(request.param), autocommit=True) as connection:
        connection.execute("select set_config('holdfast.tenant', %s, false)", [str(two.a.id)])
        yield connection


def refused(connection, sql, *parameters) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as found:
        connection.execute(sql, parameters or None)
    return found.value


def test_whoever_runs_sql_sets_the_tenant_this_is_stated_and_not_prevented(attacker, two):
    attacker.execute("select set_config('holdfast.tenant', %s, false)", [str(two.b.id)])
    assert {row[0] for row in attacker.execute("select id from holdfast.runs")} == {two.b.run, two.b.queued}
    sql = "select outcome from holdfast.deliver_signal(%s, %s, 'wake', '', null, null, 'me', null)"
    assert attacker.execute(sql, [two.b.id, two.b.queued]).fetchone() == ("delivered",)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "00000000-0000-0000-0000-000000000000", "' or true --", "{a,b}", "*", "null"]
)
def test_no_value_of_the_setting_shows_all(attacker, text):
    attacker.execute("select set_config('holdfast.tenant', %s, false)", [text])
    try:
        assert attacker.execute("select count(*) from holdfast.runs").fetchone() == (0,)
    except psycopg.errors.InvalidTextRepresentation:
        assert text not in {"", "00000000-0000-0000-0000-000000000000"}


BECOME = [
    "set role holdfast_owner",
    "set role holdfast_engine",
    "set role admin",
    "set session authorization holdfast_owner",
    "set session authorization holdfast_engine",
    "set session authorization admin",
    "grant holdfast_engine to current_user",
    "alter role current_user bypassrls",
    "alter role current_user superuser",
    "alter role holdfast_engine login",
    "create role mine login superuser",
    "reassign owned by holdfast_owner to current_user",
    "alter table holdfast.runs owner to current_user",
    "alter table holdfast.runs no force row level security",
    "alter table holdfast.runs disable row level security",
    "drop policy tenant on holdfast.runs",
    "create policy mine on holdfast.runs using (true)",
    "alter policy tenant on holdfast.runs using (true)",
    "alter function holdfast.note(uuid, text, text, text, text) security invoker",
    "create or replace function holdfast.must_be_tenant(p uuid) returns void language sql as ''",
    "set session_replication_role = replica",
    "alter system set row_security = off",
    "grant select on holdfast.events_other to current_user",
]


def test_it_becomes_nobody_else_and_changes_no_rule(attacker):
    for sql in BECOME:
        assert isinstance(refused(attacker, sql), (*NO_RIGHT, psycopg.errors.DependentObjectsStillExist)), sql


def test_row_security_cannot_be_switched_off_but_only_made_to_complain(attacker):
    attacker.execute("set row_security = off")
    assert isinstance(refused(attacker, "select * from holdfast.runs"), psycopg.errors.InsufficientPrivilege)


OUTSIDE = [
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/holdfast-attack'",
    "create temporary table t (x text); copy t from program 'id'",
    "create temporary table t2 (x text); copy t2 from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/holdfast-attack')",
    "create extension dblink",
    "create extension file_fdw",
    "create extension plpython3u",
    "create foreign data wrapper mine",
    "create server mine foreign data wrapper postgres_fdw",
    "create event trigger mine on ddl_command_start execute function holdfast.now()",
    "create publication mine for all tables",
    "create subscription mine connection '' publication p",
    "select pg_create_logical_replication_slot('mine', 'test_decoding')",
    "load 'auto_explain'",
    "create language mine handler plpgsql_call_handler",
    "create database mine",
    "create schema mine",
    "create table public.mine ()",
    "create function public.mine() returns int language sql as 'select 1'",
    "create table holdfast.mine ()",
    "create view holdfast.mine as select 1",
    "create trigger mine before insert on holdfast.sessions execute function holdfast.now()",
    "create rule mine as on insert to holdfast.sessions do instead nothing",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename like 'admin%'",
    "select pg_cancel_backend(pid) from pg_stat_activity where usename like 'admin%'",
    "do $$ begin lock table holdfast.runs in access exclusive mode; end $$",
    "comment on table holdfast.runs is 'mine'",
    "select * from pg_authid",
    "select * from pg_statistic",
    "select * from pg_largeobject",
    "select * from pg_user_mapping",
    "select * from pg_hba_file_rules",
]


NOT_THERE = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.UndefinedFile,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.ObjectNotInPrerequisiteState,
)
"""This server has no such thing to try it on."""


def test_it_reaches_no_file_no_process_and_makes_nothing(attacker):
    for sql in OUTSIDE:
        assert isinstance(refused(attacker, sql), (*NO_RIGHT, *NOT_THERE)), sql


SHADOWS = [
    "create function pg_temp.now() returns timestamptz language sql as 'select null::timestamptz'",
    "create function pg_temp.must_be_tenant(uuid) returns void language sql as ''",
    "create function pg_temp.must_be_durable() returns void language sql as ''",
    "create temporary table runs (like holdfast.runs)",
    "create temporary table approvals (like holdfast.approvals)",
    "create temporary table tenants (like holdfast.tenants)",
    "set search_path = pg_temp, holdfast, public",
]


def test_temporary_objects_shadow_nothing_in_definer_functions(attacker, two):
    for sql in SHADOWS:
        attacker.execute(sql)
    sql = "select outcome from holdfast.deliver_signal(%s, %s, 'wake', '', null, null, 'me', null)"
    assert isinstance(refused(attacker, sql, two.b.id, two.b.queued), psycopg.errors.InsufficientPrivilege)
    assert attacker.execute(sql, [two.a.id, two.b.queued]).fetchone() == ("absent",)
    assert attacker.execute(sql, [two.a.id, two.a.queued]).fetchone() == ("delivered",)
    assert attacker.execute("select count(*) from pg_temp.runs").fetchone() == (0,), "nothing was written to mine"


CATALOGUE = [
    "select * from pg_stats where schemaname = 'holdfast'",
    "select * from pg_stats_ext",
    "select query, application_name from pg_stat_activity",
    "select * from pg_prepared_statements",
    "select * from pg_cursors",
    "select * from pg_prepared_xacts",
    "select * from pg_locks",
    "select * from pg_settings",
    "select * from pg_stat_user_tables",
    "select * from pg_largeobject_metadata",
    "select * from pg_description",
    "select * from pg_seclabels",
    "select * from pg_db_role_setting",
    "select conname, pg_get_constraintdef(oid) from pg_constraint",
    "select relname, relpartbound::text from pg_class",
]


def test_the_catalogue_tells_nothing_of_another_tenant(attacker, two):
    """After statistics were gathered, and with the other's statement under way on another connection."""
    two.scene.admin.execute("analyze holdfast.runs, holdfast.principals, holdfast.tenants, holdfast.audit_log")
    with psycopg.connect(two.scene.database.url_of("holdfast_api")) as other:
        other.execute("select set_config('holdfast.tenant', %s, true)", [str(two.b.id)])
        other.execute("select %s::text", [two.b.mark])
        for sql in CATALOGUE:
            assert two.b.shows(attacker.execute(sql).fetchall()) == [], sql


def test_another_sessions_statement_is_seen_by_the_same_login_only_without_its_values(attacker, two):
    """PostgreSQL shows a login its own sessions' statements. So values travel beside the statement, never in it.

    The one that holds a value in its text begins a transaction, and the value is the tenant's id.
    """
    with psycopg.connect(two.scene.database.url_of(attacker.info.user)) as other:
        other.execute("select set_config('holdfast.tenant', %s, true)", [str(two.b.id)])
        other.execute("select count(*) from holdfast.principals where name = %s", [two.b.mark])
        seen = attacker.execute(
            "select query from pg_stat_activity where pid = %s", [other.info.backend_pid]
        ).fetchall()
    assert seen[0][0].startswith("select count(*)")
    assert two.b.shows(seen) == []


def test_hints_are_opaque_ids(attacker, two):
    """Who listens hears that something changed in some run. Ids of runs give access to nothing."""
    attacker.execute("listen holdfast")
    with psycopg.connect(two.scene.database.api_url, autocommit=True) as other:
        for payload in ("q", f"r:{two.b.run}", f"s:{two.b.run}", f"l:{two.b.run}"):
            other.execute("select pg_notify('holdfast', %s)", [payload])
    heard = [one.payload for one in attacker.notifies(timeout=10, stop_after=4)]
    assert heard == ["q", *(f"{kind}:{two.b.run}" for kind in "rsl")]
    assert attacker.execute("select count(*) from holdfast.runs where id = %s", [two.b.run]).fetchone() == (0,)


def test_uniqueness_ends_at_the_tenant(two):
    """A name, a key or a session that only the other tenant has is as free as one that nobody has."""
    create = "select holdfast.create_principal(%s, gen_random_uuid(), 'person', %s, null, '{user}', 'me')"
    begin = (
        "select outcome from holdfast.accept_run(%s, gen_random_uuid(), 't', '1', %s, 'p', 's', null, 0, now(), '{}',"
        " 'h', '{}', '{}', 'scope', %s, 'x')"
    )

    def use(tenant, name, session, key):
        call = two.scene.call
        return [
            call(two.scene.api, tenant, create, tenant, name),
            call(two.scene.api, tenant, begin, tenant, session, key),
        ]

    theirs, nobodys = ("Only", uuid4(), "only"), ("Nobody", uuid4(), "nobody")
    first = use(two.b.id, *theirs)
    assert use(two.a.id, *theirs) == use(two.a.id, *nobodys) == first
    assert use(two.a.id, *theirs) != first, "in one's own it is taken"


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("sessions", "(tenant, id, subject, principal) values (%s, %s, 's', 'p')"),
        ("subject_keys", "(tenant, subject, kek) values (%s, %s, 'k')"),
    ],
)
def test_an_insert_for_another_tenant_tells_not_whether_the_row_is_there(attacker, two, table, row):
    """The policy refuses it before any index is asked, and the message holds no row."""
    messages = set()
    for value in (SESSION if table == "sessions" else "s", "00000000-0000-0000-0000-00000000000f"):
        error = refused(attacker, f"insert into holdfast.{table} {row}", two.b.id, value)
        assert isinstance(error, psycopg.errors.InsufficientPrivilege)
        messages.add(str(error))
    assert len(messages) == 1
    assert two.b.shows(list(messages)) == []


def test_messages_of_errors_hold_no_row_of_another_tenant(two):
    """A function that fails inside another's constraint tells which constraint, and of what is one's own at most."""
    api = two.scene.api
    for sql, value in (
        ("select holdfast.create_principal(%s, gen_random_uuid(), 'robot', 'x', null, '{user}', 'me')", two.a.id),
        ("select holdfast.grant_role(%s, %s, 'platform', 'me')", two.a.principal),
        ("select holdfast.declare_halt(%s, gen_random_uuid(), 'everything', '', '', 'me', 3, null)", two.a.id),
    ):
        values = [two.a.id] if value == two.a.id else [two.a.id, value]
        with pytest.raises(psycopg.Error) as found:
            two.scene.call(api, two.a.id, sql, *values)
        diag = found.value.diag
        told = [diag.message_primary, diag.message_detail, diag.message_hint, diag.context]
        assert two.b.shows(told) == []


TRICKS = [
    "select 1/(case when r.tenant::text like %(like)s then 0 else 1 end) from holdfast.runs r",
    "select * from holdfast.principals p where (p.email)::int = 1 and p.email like 'TAINTB%%'",
    "select count(*) from holdfast.audit_log where details::json->>'x' = 'TAINTB' or tenant = %(b)s",
    "select count(*) from holdfast.runs where tenant = %(b)s or true",
    "select count(*) from holdfast.runs r where exists (select from holdfast.events e where e.tenant = %(b)s)",
    "with x as materialized (select * from holdfast.runs) select count(*) from x where tenant = %(b)s",
    "select count(*) from holdfast.tenants where id = %(b)s",
    "explain (analyze, costs off) select * from holdfast.runs where tenant = %(b)s",
    "select 1 from holdfast.runs where tenant = %(b)s for share",
]


def test_no_condition_gets_before_the_policy(attacker, two):
    """A condition that fails, or one that looks, is only asked about rows that the policy let through."""
    for trick in TRICKS:
        try:
            told = attacker.execute(trick, {"b": two.b.id, "like": f"{two.b.id}%"}).fetchall()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidTextRepresentation) as error:
            told = [str(error)]
        assert two.b.mark not in str(told), trick
        assert two.b.shows(told) == [] or trick.startswith("explain"), trick


def test_a_function_that_looks_cheap_is_not_given_rows_of_others(attacker, two):
    attacker.execute(
        "create function pg_temp.look(text) returns boolean language plpgsql cost 0.0000001"
        " as $$ begin raise notice '%', $1; return true; end $$"
    )
    said: list[str] = []
    attacker.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    attacker.execute("select count(*) from holdfast.runs where pg_temp.look(tenant::text || id::text)")
    assert two.a.shows(said) != []
    assert two.b.shows(said) == []


def test_row_estimates_do_not_follow_another_tenants_values(two):
    """An estimate comes from statistics of all tenants. It may not tell another's value from nobody's."""
    two.scene.admin.execute("analyze holdfast.principals")
    with psycopg.connect(two.scene.database.api_url, autocommit=True) as connection:
        connection.execute("select set_config('holdfast.tenant', %s, false)", [str(two.a.id)])
        plans = [
            connection.execute(
                f"explain (format json) select * from holdfast.principals where email = '{email}'"
            ).fetchone()
            for email in (two.b.mark, "NOBODYX")
        ]
    rows = [plan[0][0]["Plan"]["Plan Rows"] for plan in plans]
    assert rows[0] == rows[1]


def test_there_are_no_sequences_to_count_by(two):
    sql = "select relname from pg_class where relnamespace = 'holdfast'::regnamespace and relkind = 'S'"
    assert two.scene.admin.execute(sql).fetchall() == []


def test_what_another_tenant_chose_is_not_found_by_locking(attacker, two):
    """Locks of rows: another's row is not there to be waited for."""
    with psycopg.connect(two.scene.database.admin_url) as other:
        other.execute("select 1 from holdfast.runs where id = %s for update", [two.b.queued])
        sql = "select outcome from holdfast.deliver_signal(%s, %s, 'wake', '', null, null, 'me', null)"
        attacker.execute("set lock_timeout = '1s'")
        assert attacker.execute(sql, [two.a.id, two.b.queued]).fetchone() == ("absent",)
        other.rollback()


def test_a_login_can_hold_the_halt_lock_this_is_stated_and_not_prevented(attacker, two):
    """Whoever may connect may take advisory locks: appends wait while the connection lives, and nothing leaks."""
    with attacker.transaction():
        attacker.execute("select pg_advisory_xact_lock(4857)")
        held = two.scene.admin.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and objid = 4857 and granted"
            " and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
        assert held == (1,)
