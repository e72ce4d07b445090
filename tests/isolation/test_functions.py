"""Every function a login may execute: with another tenant's ids, with another tenant, and with none, it does nothing.

The functions come from the catalogue: one without a case here fails the suite.
"""

import json
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from leak_rows import rows_of
from two_tenants import LOGINS, PLATFORM, SESSION, Two

from support.store_scene import AT, SUCCEED, Member, append, approval, outcomes

T = "%(tenant)s"
_ARGUMENTS = {
    "accept_run": f"{T}, %(new)s, 't', '1', %(session)s, 'other', 's', null, 0, %(at)s, '{{}}', %(digest)s, '{{}}',"
    " '{}', 'scope', 'new', 'x'",
    "accepted_before": f"{T}, 'scope', 'idem', %(request)s",
    "deliver_signal": f"{T}, %(run)s, 'message', '', null, null, 'me', 'dedupe'",
    "decide_approval": f"{T}, %(task)s, 'approved', 'shown', 'me', null, null, 0, null",
    "approval_standing": f"{T}, %(task)s, %(principal)s::text, 0",
    "note": f"{T}, 'me', 'what', %(run)s::text, '{{}}'",
    "create_principal": f"{T}, %(principal)s, 'person', 'New', null, '{{user}}', 'me'",
    "grant_role": f"{T}, %(principal)s, 'auditor', 'me'",
    "revoke_role": f"{T}, %(principal)s, 'admin', 'me'",
    "set_disabled": f"{T}, %(principal)s, true, 'me'",
    "create_key": f"{T}, %(key)s, %(principal)s, 'k', %(key_digest)s, null, null, 'me'",
    "end_key": f"{T}, %(key)s, null, 'me'",
    "touch_key": f"{T}, %(key)s",
    "log_in": f"{T}, %(principal)s, 'issuer', 'subject', 'person', 'Out', null, '{{admin}}', now()",
    "declare_halt": f"{T}, gen_random_uuid(), 'run', %(run)s::text, 'why', 'me', 3, null",
    "lift_halt": f"{T}, %(halt)s, 'me', 3, null",
    "halt_workers": f"{T}, %(halt)s",
    "everything_halts": T,
    "is_held_back": f"{T}, %(run)s, '[]'",
    "renew_rights": f"{T}, %(run)s, %(worker)s, %(epoch)s",
    "read_tallies": f"{T}, %(run)s, 'effect', array['spent'], array['p'], array[now()]",
    "create_session": f"{T}, %(own_session)s, 'p', 's'",
    "delete_session": f"{T}, %(own_session)s, null, 'me'",
    "invalidate": f"{T}, %(own_session)s, null, %(invalidation)s, %(run)s, 1, 1, '{{}}', 'd', 'r', 'me'",
    "lift_invalidation": f"{T}, %(own_session)s, null, %(invalidation)s, 'd', 'r', 'me'",
    "set_budget": f"{T}, gen_random_uuid(), 'tenant', '', 'requests', 'day', 9, 'me'",
    "budget_pressure": f"{T}, %(run)s, %(mark)s, '{{}}'",
    "end_budget": f"{T}, %(budget)s, 'me'",
    "raise_budget": f"{T}, %(budget)s, '', 9, 'why', 'me', 'scope', 'raise', 'x'",
    "correct_reservation": f"{T}, %(run)s, '#1', 1, 1, 1, 1, 'why', 'me'",
    "set_time_zone": f"{T}, 'Europe/Berlin', 'me'",
    "set_ceilings": f"{T}, '{{}}', null, 'me'",
    "delete_rows": f"{T}, 100",
    "import_rows": f"{T}, 'sessions', '[]'",
}
SCOPED = {name: f"select * from holdfast.{name}({arguments})" for name, arguments in _ARGUMENTS.items()}
"""Those that name a tenant, which has to be the transaction's."""
AS_ABSENT = {
    "deliver_signal", "decide_approval", "approval_standing",
    "grant_role", "revoke_role", "set_disabled", "create_key", "end_key",
    "touch_key", "renew_rights",
    "delete_session", "invalidate", "lift_invalidation", "lift_halt", "halt_workers", "is_held_back",
    "budget_pressure", "end_budget", "raise_budget", "correct_reservation",
}  # fmt: skip
"""Of those, the ones that look something up: another tenant's is not there."""
PLATFORM_ONLY = {
    "list_tenants": "select * from holdfast.list_tenants(null, null, 100)",
    "create_tenant": "select holdfast.create_tenant(gen_random_uuid(), 'another', 'me')",
    "found_tenant": "select holdfast.found_tenant(gen_random_uuid(), 'another', gen_random_uuid(), 'Ada',"
    " gen_random_uuid(), 'first', 'd', 'me')",
    "suspend_tenant": "select holdfast.suspend_tenant(%(b)s, true, 'why', 'me')",
    "set_quotas": "select holdfast.set_quotas(%(b)s, 1, 1, 1, null, 'me')",
    "limit_tenant": "select holdfast.limit_tenant(%(b)s, '{}', 'me')",
    "doom_tenant": "select holdfast.doom_tenant(%(b)s, 'me')",
    "bury_tenant": "select holdfast.bury_tenant(%(b)s, 'me')",
    "keep_evidence": "select holdfast.keep_evidence(%(b)s, 1, 'heads')",
    "begin_import": "select holdfast.begin_import(gen_random_uuid(), 'another', now(), 'UTC', '{}', 'me')",
    "halt_tenant": "select * from holdfast.halt_tenant(%(b)s, gen_random_uuid(), 'why', 'me', null)",
    "platform_halts": "select * from holdfast.platform_halts(null, 10)",
    "end_import": "select holdfast.end_import(%(b)s, 'me')",
}
LOOKS_IN = {
    "short_journal": "select * from holdfast.short_journal(%(tenant)s, %(run)s, 2)",
    "look_into": "select holdfast.look_into(%(tenant)s)",
    "acting": "select * from holdfast.acting(%(tenant)s, %(principal)s::text)",
    "find_identity": "select * from holdfast.find_identity(%(name)s, 'issuer', 'subject')",
}
"""Those that look into a tenant where none is set, for a worker or for whoever signs in, and leave none set."""
ENGINE = {
    "append": "fenced by worker, epoch, sequence and head: below",
    "claim_runs": "gives any tenant's queued runs to a worker: that is what it is for",
    "release_runs": "a worker's own runs, by the worker's id",
    "register_worker": "no tenant's",
    "renew_lease": "a worker's own runs, by the worker's id",
    "leave": "a worker's own runs, by the worker's id",
    "tick": "counts only",
    "watch_halts": "a worker carries runs of all tenants, and is told what it has to stop: ids, scopes and keys",
    "expire_halts": "a count only",
    "tell_alerts": "a worker logs alerts of all tenants: ids, names of budgets and amounts",
    "sweep_windows": "a worker removes what is over of all tenants: a count, and the ids at which it goes on",
    "window_start": "no tenant's: arithmetic of times",
    "window_end": "no tenant's: arithmetic of times",
    "ensure_partitions": "no tenant's",
    "now": "no tenant's",
    "principal_id": "no tenant's: a text for an id",
    "tenant_tables": "no tenant's",
    "find_tenant": "a name for an id: a tenant's name is no secret of an API's process",
}
"""Those that cross tenants or know none, with the reason; what holds for them is tested one by one."""


def values(two: Two, tenant, of) -> dict:
    return {
        "tenant": tenant, "run": of.run, "task": of.task, "principal": of.principal, "key": of.key, "new": of.queued,
        "session": SESSION, "at": AT, "digest": b"h" * 32, "key_digest": of.key_digest, "request": of.mark.encode(),
        "worker": of.held.worker, "name": of.name, "epoch": of.held.epoch, "own_session": of.session,
        "invalidation": of.invalidation, "halt": of.halt, "budget": of.budget, "mark": of.mark,
    }  # fmt: skip


def executable(scene, login: str) -> set[str]:
    rows = scene.admin.execute(
        "select proname from pg_proc where pronamespace = 'holdfast'::regnamespace"
        " and has_function_privilege(%s, oid, 'execute')",
        [login],
    ).fetchall()
    return {name for (name,) in rows}


@pytest.mark.parametrize("login", LOGINS)
def test_every_function_has_a_case(scene, login):
    without = executable(scene, login) - SCOPED.keys() - PLATFORM_ONLY.keys() - LOOKS_IN.keys() - ENGINE.keys()
    assert without == set(), "a function that a login may execute has no case in tests/isolation/test_functions.py"


def each(scene):
    return [(login, name) for login in LOGINS for name in SCOPED if name in executable(scene, login)]


def looking(scene):
    return [
        (login, name, sql) for login in LOGINS for name, sql in LOOKS_IN.items() if name in executable(scene, login)
    ]


def call(scene, login, tenant, sql, parameters):
    with psycopg.connect(scene.database.url_of(login)) as connection:
        if tenant is not None:
            connection.execute("select set_config('holdfast.tenant', %s, true)", [str(tenant)])
        try:
            return connection.execute(sql, parameters).fetchall()
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            connection.rollback()
            return [str(error)]


def test_another_tenant_in_the_argument_is_refused_and_so_is_none_in_the_transaction(two):
    scene, before = two.scene, rows_of(two.scene.admin, two.b.id)
    for login, name in each(scene):
        for set_to in (two.a.id, None):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                call(scene, login, set_to, SCOPED[name], values(two, two.b.id, two.b))
            assert two.b.shows(str(refused.value)) == [], f"{name} by {login}"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            call(scene, login, None, SCOPED[name], values(two, None, two.b) | {"tenant": two.a.id})
    assert rows_of(scene.admin, two.b.id) == before


def test_another_tenants_ids_are_as_those_of_nobody(two):
    scene, before = two.scene, rows_of(two.scene.admin, two.b.id)
    nobody = {
        "run": uuid4(),
        "task": uuid4(),
        "principal": uuid4(),
        "key": uuid4(),
        "new": uuid4(),
        "own_session": uuid4(),
        "invalidation": uuid4(),
        "halt": uuid4(),
        "budget": uuid4(),
    }
    # Those that create come last: they make the other's id one's own.
    for login, name in sorted(each(scene), key=lambda one: one[1] not in AS_ABSENT):
        foreign = call(scene, login, two.a.id, SCOPED[name], values(two, two.a.id, two.b))
        assert two.b.shows(foreign) == [], f"{name} by {login}"
        if name in AS_ABSENT:
            absent = call(scene, login, two.a.id, SCOPED[name], values(two, two.a.id, two.b) | nobody)
            assert foreign == absent, f"{name} by {login}"
    assert rows_of(scene.admin, two.b.id) == before


def test_what_a_caller_chooses_may_be_the_same_in_both(two):
    """Ids too: a run of this id exists in the other tenant, and this one begins as if it did not."""
    parameters = values(two, two.a.id, two.b) | {"session": None}
    assert call(two.scene, "holdfast_api", two.a.id, SCOPED["accept_run"], parameters)[0][0] == "accepted"
    for name, expected in (("create_principal", "created"), ("create_key", "created")):
        assert call(two.scene, "holdfast_api", two.a.id, SCOPED[name], parameters) == [(expected,)], name


@pytest.mark.parametrize("name", PLATFORM_ONLY)
def test_tenants_are_managed_from_the_platforms_only(two, name):
    before = rows_of(two.scene.admin, two.b.id)
    for tenant in (two.a.id, None, two.b.id):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            call(two.scene, "holdfast_api", tenant, PLATFORM_ONLY[name], {"b": two.b.id})
    assert rows_of(two.scene.admin, two.b.id) == before


def test_what_looks_into_a_tenant_by_itself_refuses_where_another_is_set(two):
    """An argument says where to look. In a transaction that is another tenant's it is a mistake."""
    scene, given = two.scene, values(two, two.b.id, two.b)
    for login, name, sql in looking(scene):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            call(scene, login, two.a.id, sql, given)
        assert call(scene, login, None, sql, given) != [], name
        assert call(scene, login, two.b.id, sql, given) != [], name


def test_what_looks_into_a_tenant_by_itself_leaves_the_scope_as_it_was(two):
    given = values(two, two.b.id, two.b)
    for login, name, sql in (one for one in looking(two.scene) if one[1] != "look_into"):
        for scope in (None, two.b.id):
            with psycopg.connect(two.scene.database.url_of(login)) as connection:
                connection.execute("select set_config('holdfast.tenant', %s, true)", [str(scope or "")])
                connection.execute(sql, given)
                [seen] = connection.execute("select current_setting('holdfast.tenant')").fetchall()
                assert seen == (str(scope or ""),), name


def test_no_row_of_another_tenant_is_imported(two):
    """The tenant that is brought in is set; a row of its export that says it is another's is refused."""
    scene, new = two.scene, uuid4()
    scene.call(scene.api, PLATFORM, "select holdfast.begin_import(%s, 'new', now(), 'UTC', '{}', 'me')", new)
    before = rows_of(scene.admin, two.b.id)
    sql = "select holdfast.import_rows(%s, %s, %s) as many"
    row = {
        "tenant": str(new),
        "principal": str(two.b.principal),
        "role": "admin",
        "granted_at": "now",
        "granted_by": "x",
    }
    assert scene.call(scene.api, new, sql, new, "memberships", json.dumps([row]))[0].many == 1
    for tenant in (two.b.id, PLATFORM):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            scene.call(scene.api, new, sql, new, "memberships", json.dumps([row | {"tenant": str(tenant)}]))
    for table in ("workers", "clock", "tenants", "schema_version", "events_other", "pg_authid"):
        with pytest.raises(psycopg.errors.UndefinedTable):
            scene.call(scene.api, new, sql, new, table, "[]")
    assert rows_of(scene.admin, two.b.id) == before


def test_the_platform_gets_names_and_states_of_tenants_and_no_more(two):
    rows = call(two.scene, "holdfast_api", "00000000-0000-7000-8000-000000000000", PLATFORM_ONLY["list_tenants"], None)
    assert {row[1:3] for row in rows} >= {("acme", "active"), ("bolt", "active")}
    assert two.b.mark.encode() not in json.dumps(rows, default=str).encode()


def test_an_append_for_one_tenant_touches_no_run_of_another(two):
    """A worker carries runs of all tenants. What it says of one of them cannot land in another's."""
    scene, before = two.scene, rows_of(two.scene.admin, two.b.id)
    strange = replace(two.b.held, tenant=two.a.id)
    stale = replace(two.b.held, epoch=two.b.held.epoch + 1)
    of_another = replace(two.b.held, worker=two.a.held.worker)
    assert outcomes(scene.worker, Member(strange), Member(stale), Member(of_another)) == ["fenced"] * 3
    closing = approval(id=two.b.task, closed="void", by="me")
    assert outcomes(scene.worker, Member(two.a.held, approvals=[closing], folded=1)) == ["appended"]
    assert outcomes(scene.worker, Member(two.a.held, next=SUCCEED, folded=1)) == ["appended"]
    assert rows_of(scene.admin, two.b.id) == before, "its session has the same id, and its task was named"
    sql = "select last_run from holdfast.sessions where tenant = %s and id = %s"
    [ended] = scene.admin.execute(sql, [two.a.id, SESSION]).fetchall()
    assert ended == (two.a.run,)


def test_a_worker_is_told_of_its_own_runs_and_gives_back_no_others(two):
    scene = two.scene
    stranger = scene.register(lease_s=3600, nothing=["1"])
    before = rows_of(scene.admin, two.b.id)
    told = scene.renew(stranger, [two.b.run])
    assert [(row.kind, row.tenant) for row in told] == [(None, None), ("lost", None)]
    assert scene.worker.execute("select holdfast.release_runs(%s, %s, false)", [stranger, [two.b.run]]).fetchone() == (
        0,
    )
    assert scene.worker.execute("select holdfast.leave(%s)", [stranger]).fetchone() == (0,)
    assert two.b.shows([scene.tick()]) == []
    assert rows_of(scene.admin, two.b.id) == before


def test_an_answer_of_append_says_nothing_of_a_run_that_is_not_held(two):
    [row] = append(two.scene.worker, Member(replace(two.b.held, tenant=two.a.id)))
    assert (row.outcome, row.inbox_seq, row.cancelling) == ("fenced", None, None)
