"""The limits of a tenant in the database: who sets them, what that does to its runs, and that no claim misses it."""

import json
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from holdfast.domain.ids import LOCAL_PRINCIPAL, PLATFORM_TENANT
from holdfast.store.query import query
from support.store_scene import PARK, TENANT, Aside, Member, outcomes

SET = "select holdfast.set_ceilings(%s, %s, %s, 'me') as said"
LIMIT = "select holdfast.limit_tenant(%s, %s, 'pat') as said"
RENEW = "select name, ceilings from holdfast.renew_rights(%s, %s, %s, %s)"
PLATFORM = UUID(str(PLATFORM_TENANT))


def put(scene, limits, drop=None, connection=None):
    return scene.call(connection or scene.api, TENANT, SET, TENANT, json.dumps(limits), drop)[0].said


def limits_of(scene, tenant=TENANT):
    return scene.one("select ceilings from holdfast.tenants where id = %s", tenant)


def notes(scene, tenant=TENANT):
    rows = scene.admin.execute(
        "select actor, details::jsonb from holdfast.audit_log where tenant = %s and action = 'tenant.limits'"
        " order by at",
        [tenant],
    ).fetchall()
    return [(actor, details["limits"], details.get("before")) for actor, details in rows]


def renewed(scene, held, connection=None):
    given = [TENANT, held.run, held.worker, held.epoch]
    return scene.call(connection or scene.worker, TENANT, RENEW, *given)[0].ceilings


def claim(scene, worker, connection):
    """As a worker claims: with whom a run is for and the limits of its tenant."""
    given = {"worker": worker, "want": 9, "tasks": ["t"], "versions": ["1"], "free": [9]}
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(query("claim_runs"), given).fetchall()


def test_a_new_tenant_has_none(scene):
    assert limits_of(scene) == {}
    id_ = uuid4()
    scene.call(scene.api, PLATFORM, "select holdfast.create_tenant(%s, 'acme', 'pat')", id_)
    assert limits_of(scene, id_) == {}
    scene.accept(principal=str(LOCAL_PRINCIPAL))
    [claimed] = claim(scene, scene.register(), scene.worker)
    assert claimed.ceilings == {}


def test_they_are_set_as_a_whole_or_changed_one_by_one_and_noted(scene):
    assert put(scene, {"steps": 40, "tokens": 9}) == {"steps": 40, "tokens": 9}
    assert put(scene, {"steps": 30}) == {"steps": 30}
    assert put(scene, {"tokens": 8}, []) == {"steps": 30, "tokens": 8}
    assert put(scene, {"tokens": 7, "depth": 1}, ["steps"]) == {"tokens": 7, "depth": 1}
    assert put(scene, {"tokens": 6}, ["tokens", "absent"]) == limits_of(scene) == {"tokens": 6, "depth": 1}
    assert notes(scene)[:2] == [
        ("me", {"steps": 40, "tokens": 9}, {}),
        ("me", {"steps": 30}, {"steps": 40, "tokens": 9}),
    ]
    assert len(notes(scene)) == 5


def test_what_is_no_object_is_refused(scene):
    for wrong in ([], 5, "steps", None):
        with pytest.raises(psycopg.Error):
            put(scene, wrong)
    assert (limits_of(scene), notes(scene)) == ({}, [])


def test_the_platform_sets_them_for_a_tenant_and_both_logs_say_so(scene):
    other = "select holdfast.set_ceilings(%s, '{}', null, 'me')"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.call(scene.api, TENANT, other, PLATFORM)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.call(scene.api, TENANT, LIMIT, TENANT, "{}")
    assert scene.call(scene.api, PLATFORM, LIMIT, TENANT, '{"steps": 5}') == [(True,)]
    assert scene.call(scene.api, PLATFORM, LIMIT, uuid4(), '{"steps": 5}') == [(False,)]
    assert limits_of(scene) == {"steps": 5}
    put(scene, {"calls:pay": 2})
    assert scene.call(scene.api, PLATFORM, LIMIT, TENANT, '{"steps": 6}') == [(True,)]
    assert notes(scene)[::2] == [("pat", {"steps": 5}, {}), ("pat", {"steps": 6}, {"calls:pay": 2})]
    assert notes(scene, PLATFORM) == [("pat", {"steps": 5}, None), ("pat", {"steps": 6}, None)], "not what was before"


def test_no_worker_sets_them(scene):
    for sql, given in ((SET, [TENANT, "{}", None]), (LIMIT, [TENANT, "{}"])):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            scene.call(scene.worker, TENANT, sql, *given)


def test_runs_that_are_held_look_again_and_no_others(scene):
    held, parked = scene.hold(2, principal=str(LOCAL_PRINCIPAL))
    assert outcomes(scene.worker, Member(parked, next=PARK)) == ["appended"]
    foreign = scene.hold(tenant=uuid4())[0]
    queued = scene.accept()
    put(scene, {"steps": 5})
    assert [scene.row(run)["stale"] for run in (held.run, parked.run, queued, foreign.run)] == [
        True,
        False,
        False,
        False,
    ]
    assert outcomes(scene.worker, Member(held, intent=True)) == ["stale"]
    assert outcomes(scene.worker, Member(held)) == ["appended"], "a fact is never refused"
    assert renewed(scene, held) == {"steps": 5}
    assert outcomes(scene.worker, Member(held, intent=True)) == ["appended"]
    put(scene, {"steps": 5})
    assert not scene.row(held.run)["stale"], "nothing changed"
    put(scene, {"steps": 6}, [])
    assert scene.row(held.run)["stale"]


def test_a_claim_waits_for_a_change_that_is_under_way_and_reads_it(scene):
    scene.accept(principal=str(LOCAL_PRINCIPAL))
    worker = scene.register()
    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_worker") as claiming:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(SET, [TENANT, '{"steps": 5}', None])
        late = Aside(lambda: claim(scene, worker, claiming))
        scene.until_waiting(claiming)
        slow.execute("commit")
        [claimed] = late.result()
    assert claimed.ceilings == {"steps": 5}


def test_a_change_waits_for_a_claim_that_is_under_way_and_finds_its_runs_held(scene):
    run = scene.accept(principal=str(LOCAL_PRINCIPAL))
    worker = scene.register()
    with scene.connect("holdfast_api") as changing, scene.connect("holdfast_worker") as slow:
        slow.execute("begin")
        [claimed] = claim(scene, worker, slow)
        assert claimed.ceilings == {}
        change = Aside(lambda: put(scene, {"steps": 5}, connection=changing))
        scene.until_waiting(changing)
        slow.execute("commit")
        assert change.result() == {"steps": 5}
    assert scene.row(run)["stale"], "it was claimed without them"


def test_who_looks_again_while_they_change_reads_what_was_set_or_is_told_once_more(scene):
    [held] = scene.hold(principal=str(LOCAL_PRINCIPAL))
    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_worker") as looking:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(SET, [TENANT, '{"steps": 5}', None])
        look = Aside(lambda: renewed(scene, held, looking))
        scene.until_waiting(looking)
        slow.execute("commit")
        assert look.result() == {"steps": 5}
    assert not scene.row(held.run)["stale"]
