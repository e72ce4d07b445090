"""Sessions in the database: deleted against runs that are being accepted, and never reached from another tenant."""

from uuid import uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from support.store_scene import AT, TENANT, Aside, Member, outcomes

ACCEPT = (
    "select outcome from holdfast.accept_run(%s, %s, 't', '1', %s, %s, %s, null, 0, %s, '{}', %s, '{}', '{}',"
    " null, null, null, %s)"
)
DELETE = "select outcome, told from holdfast.delete_session(%s, %s, %s, 'somebody')"
INVALIDATE = "select holdfast.invalidate(%s, %s, null, %s, %s, 1, 1, '{}', %s, 'r', 'somebody')"
LIFT = "select holdfast.lift_invalidation(%s, %s, null, %s, 'd', 'r', 'somebody')"
CREATE = "select holdfast.create_session(%s, %s, 'p', 's')"


def accept(scene, connection, session, principal="p", subject="s", *, shared=False, run=None):
    values = [TENANT, run or uuid7(), session, principal, subject, AT, b"h" * 32, shared]
    return scene.call(connection, TENANT, ACCEPT, *values)[0].outcome


def test_a_deletion_waits_for_a_run_that_is_being_accepted_and_stops_it(scene):
    session, run = uuid4(), uuid7()
    scene.accept(session=session)
    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_api") as quick:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(ACCEPT, [TENANT, run, session, "p", "s", AT, b"h" * 32, False])
        deleting = Aside(lambda: scene.call(quick, TENANT, DELETE, TENANT, session, None)[0])
        scene.until_waiting(quick)
        slow.execute("commit")
        assert run in deleting.result().told
    assert scene.row(run)["cancelling"] is True


def test_a_run_waits_for_the_deletion_under_way_and_is_refused(scene):
    session = uuid4()
    scene.accept(session=session)
    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_api") as quick:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(DELETE, [TENANT, session, None])
        asking = Aside(lambda: accept(scene, quick, session))
        scene.until_waiting(quick)
        slow.execute("commit")
        assert asking.result() == "deleted"
    assert scene.one("select count(*) from holdfast.runs") == 1


def test_runs_are_accepted_beside_each_other_and_beside_the_end_of_another(scene):
    """Whoever accepts a run keeps nobody from the session but who deletes it."""
    session = uuid4()
    [held] = scene.hold(session=session)
    with scene.connect("holdfast_api") as slow:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(ACCEPT, [TENANT, uuid7(), session, "p", "s", AT, b"h" * 32, False])
        assert accept(scene, scene.api, session) == "accepted"
        assert outcomes(scene.worker, Member(held, next={"state": "succeeded"})) == ["appended"]
        slow.execute("commit")


def test_only_what_is_shared_is_gone_on_with_by_another_and_for_its_own_subject(scene):
    session = uuid4()
    scene.accept(session=session)
    assert accept(scene, scene.api, session, "q", "s") == "foreign"
    assert accept(scene, scene.api, session, "q", "s", shared=True) == "accepted"
    assert accept(scene, scene.api, session, "q", "q", shared=True) == "foreign"


def test_the_owner_is_a_filter_of_the_same_look(scene):
    session = uuid4()
    scene.accept(session=session)
    assert scene.call(scene.api, TENANT, DELETE, TENANT, session, "q")[0].outcome == "absent"
    assert scene.call(scene.api, TENANT, DELETE, TENANT, uuid4(), "q")[0].outcome == "absent"
    assert scene.call(scene.api, TENANT, DELETE, TENANT, session, "p")[0].outcome == "deleted"
    assert scene.call(scene.api, TENANT, CREATE, TENANT, session)[0][0] == "deleted"


def test_what_is_asked_for_again_is_answered_as_before(scene):
    session, one = uuid4(), uuid4()
    create = [scene.call(scene.api, TENANT, CREATE, TENANT, session)[0][0] for _ in range(2)]
    assert create == ["created", "repeated"]
    marks = [scene.call(scene.api, TENANT, INVALIDATE, TENANT, session, one, uuid4(), "d")[0][0] for _ in range(2)]
    assert marks == ["created", "repeated"]
    assert scene.call(scene.api, TENANT, INVALIDATE, TENANT, session, one, uuid4(), "e")[0][0] == "taken"
    assert [scene.call(scene.api, TENANT, LIFT, TENANT, session, one)[0][0] for _ in range(2)] == [
        "changed",
        "unchanged",
    ]
    assert scene.call(scene.api, TENANT, LIFT, TENANT, session, uuid4())[0][0] == "unknown"
    actions = scene.admin.execute("select action from holdfast.audit_log order by at").fetchall()
    assert actions == [("session.invalidated",), ("session.invalidation_lifted",)], "once each"


@pytest.mark.parametrize(
    ("sql", "more"),
    [(CREATE, 0), (DELETE, 1), (INVALIDATE, 3), (LIFT, 1)],
)
def test_another_tenants_argument_is_refused(scene, sql, more):
    values = [uuid4(), uuid4(), *([uuid4(), uuid4(), "d"] if more == 3 else [None] * more)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="tenant of this call"):
        scene.call(scene.api, TENANT, sql, *values)


def test_a_worker_changes_no_session(scene):
    session = uuid4()
    for sql, more in ((DELETE, [None]), (INVALIDATE, [uuid4(), uuid4(), "d"]), (LIFT, [uuid4()])):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            scene.call(scene.worker, TENANT, sql, TENANT, session, *more)
