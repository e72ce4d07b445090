"""The end of a tenant: nothing is added to it once that has begun, and what it had is told whole."""

from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest

from holdfast.store.query import query
from support.store_scene import AT, Aside, Scene

PLATFORM = UUID("00000000-0000-7000-8000-000000000000")
FOUND = "select holdfast.found_tenant(%s, 'acme', %s, 'Ada', %s, 'first', %s, 'me')"
INVITE = "select holdfast.create_principal(%s, %s, 'person', %s, null, array['admin'], 'me')"
ACCEPT = (
    "select outcome from holdfast.accept_run(%s, %s, 't', '1', null, 'p', 's', null, 0, %s, '{}', %s, null, null,"
    " null, null, null)"
)
TABLES = "select name from holdfast.tenant_tables() as name"


@pytest.fixture
def acme(scene) -> UUID:
    tenant = uuid4()
    scene.call(scene.api, PLATFORM, FOUND, tenant, uuid4(), uuid4(), tenant.bytes)
    return tenant


def suspend(scene: Scene, tenant: UUID) -> None:
    scene.call(scene.api, PLATFORM, "select holdfast.suspend_tenant(%s, true, 'they left', 'me')", tenant)


def doom(scene: Scene, tenant: UUID, connection=None) -> str:
    return scene.call(connection or scene.api, PLATFORM, "select holdfast.doom_tenant(%s, 'me')", tenant)[0][0]


def keep(scene: Scene, tenant: UUID, runs: int, heads: str) -> None:
    scene.call(scene.api, PLATFORM, "select holdfast.keep_evidence(%s, %s, %s)", tenant, runs, heads)


def delete(scene: Scene, tenant: UUID, limit: int = 1000) -> int:
    return scene.call(scene.api, tenant, "select holdfast.delete_rows(%s, %s)", tenant, limit)[0][0]


def bury(scene: Scene, tenant: UUID) -> str | None:
    with scene.api.transaction():
        scene.api.execute("select set_config('holdfast.tenant', %s, true)", [str(PLATFORM)])
        row = scene.api.execute(query("bury_tenant"), {"tenant": tenant, "by": "me"}).fetchone()
        assert row is not None
        return row[0]


def rows(scene: Scene, tenant: UUID) -> dict[str, int]:
    counts = {
        name: scene.one(f"select count(*) from holdfast.{name} where tenant = %s", tenant)
        for (name,) in scene.admin.execute(TABLES).fetchall()
    }
    return {name: count for name, count in counts.items() if count}


def buried(scene: Scene, tenant: UUID) -> None:
    suspend(scene, tenant)
    doom(scene, tenant)
    keep(scene, tenant, 0, "")
    while delete(scene, tenant):
        pass
    bury(scene, tenant)


WRITES = {
    "a run": lambda scene, tenant: scene.call(scene.api, tenant, ACCEPT, tenant, uuid4(), AT, b"h" * 32),
    "a principal": lambda scene, tenant: scene.call(scene.api, tenant, INVITE, tenant, uuid4(), "ghost"),
    "a session": lambda scene, tenant: scene.call(
        scene.api, tenant, "select holdfast.create_session(%s, %s, 'p', 's')", tenant, uuid4()
    ),
    "a halt": lambda scene, tenant: scene.call(
        scene.api,
        tenant,
        "select * from holdfast.declare_halt(%s, %s, 'tenant', '', 'why', 'me', 3, null)",
        tenant,
        uuid4(),
    ),
    "a budget": lambda scene, tenant: scene.call(
        scene.api,
        tenant,
        "select * from holdfast.set_budget(%s, %s, 'tenant', '', 'requests', 'day', 9, 'me')",
        tenant,
        uuid4(),
    ),
    "a note": lambda scene, tenant: scene.call(
        scene.api, tenant, "select holdfast.note(%s, 'me', 'what', 'x', '{}')", tenant
    ),
}


@pytest.mark.parametrize("how_far", ["doomed", "buried"])
@pytest.mark.parametrize("what", WRITES)
def test_nothing_is_added_to_a_tenant_whose_end_has_begun(scene, acme, what, how_far):
    if how_far == "doomed":
        suspend(scene, acme)
        doom(scene, acme)
    else:
        buried(scene, acme)
    before = rows(scene, acme)
    try:
        answer = WRITES[what](scene, acme)
    except psycopg.errors.NoDataFound:
        answer = None
    assert answer in (None, [("suspended",)])
    assert rows(scene, acme) == before


@pytest.mark.parametrize("what", WRITES)
def test_its_end_waits_for_what_is_being_added_and_takes_that_too(scene, acme, what):
    slow = scene.connect("holdfast_api")
    if what != "a run":
        suspend(scene, acme)
    with slow.transaction():
        other = SimpleNamespace(api=slow, call=scene.call)
        assert WRITES[what](other, acme)
        if what == "a run":
            suspend(scene, acme)
        doomed = Aside(lambda: doom(scene, acme))
        scene.until_waiting(scene.api)
    assert doomed.result() == "deleting"
    keep(scene, acme, 0, "")
    while delete(scene, acme):
        pass
    bury(scene, acme)
    assert rows(scene, acme) == {}


def test_who_carries_a_run_of_it_has_lost_that(scene, acme):
    [held] = scene.hold(tenant=acme)
    suspend(scene, acme)
    doom(scene, acme)
    row = scene.row(held.run)
    assert (row["state"], row["worker"]) == ("parked", None)
    assert row["epoch"] > held.epoch


def test_the_evidence_of_an_end_that_was_interrupted_is_whole(scene, acme):
    for _ in range(3):
        scene.accept(tenant=acme)
    suspend(scene, acme)
    doom(scene, acme)
    before = rows(scene, acme)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        delete(scene, acme)
    keep(scene, acme, 3, "heads")
    assert delete(scene, acme, limit=1) == len(before), "one of each table"
    keep(scene, acme, 2, "of what is left")
    while delete(scene, acme):
        pass
    told = bury(scene, acme)
    assert bury(scene, acme) == told, "asked again, since the answer was lost"
    assert scene.one("select %s::jsonb - 'id' - 'name'", told) == {"runs": 3, "heads_sha256": "heads", "rows": before}
    assert bury(scene, uuid4()) is None


def test_messages_count_and_what_is_decided_is_always_heard(scene, acme):
    run = scene.accept(tenant=acme)
    tell = "select outcome from holdfast.deliver_signal(%s, %s, %s, '{}', %s, 'd', 'me', %s)"
    assert scene.call(scene.api, acme, tell, acme, run, "message", b"x" * 1000, "a") == [("delivered",)]
    scene.admin.execute("update holdfast.tenants set max_bytes = 1000 where id = %s", [acme])
    assert scene.call(scene.api, acme, tell, acme, run, "message", b"x", "b") == [("too_many_bytes",)]
    assert scene.call(scene.api, acme, tell, acme, run, "message", b"x", "a") == [("repeated",)]
    for kind in ("cancel", "decision", "late_outcome", "wake"):
        assert scene.call(scene.api, acme, tell, acme, run, kind, b"x", kind) == [("delivered",)]
    scene.admin.execute("update holdfast.tenants set max_bytes = 2000, measured_at = null where id = %s", [acme])
    assert scene.call(scene.api, acme, tell, acme, run, "message", b"x", "c") == [("delivered",)]


def test_who_is_disabled_does_not_count(scene, acme):
    scene.admin.execute("update holdfast.tenants set max_principals = 2 where id = %s", [acme])
    disable = "select holdfast.set_disabled(%s, %s, %s, 'me')"
    ben, cy = uuid4(), uuid4()
    assert scene.call(scene.api, acme, INVITE, acme, ben, "Ben") == [("created",)]
    assert scene.call(scene.api, acme, INVITE, acme, cy, "Cy") == [("too_many",)]
    assert scene.call(scene.api, acme, disable, acme, ben, True) == [("changed",)]
    assert scene.call(scene.api, acme, INVITE, acme, cy, "Cy") == [("created",)]
    assert scene.call(scene.api, acme, disable, acme, ben, False) == [("too_many",)]
    assert scene.call(scene.api, acme, disable, acme, cy, False) == [("unchanged",)], "who is enabled stays so"
    assert scene.call(scene.api, acme, disable, acme, cy, True) == [("changed",)]
    assert scene.call(scene.api, acme, disable, acme, ben, False) == [("changed",)]
