"""A sign-in and a run that is about to wait for one, at the same moment: it never waits for what has been."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from support.store_scene import PARK, TENANT, Aside, Member, outcomes

LOG_IN = "select holdfast.log_in(%s, %s, 'issuer', 'ann', 'person', 'Ann', null, '{user}', %s)"
RENEW = "select disabled, claims_age_s from holdfast.renew_rights(%s, %s, %s, %s)"
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def principal(scene):
    """Ann, who signed in once."""
    id_ = uuid4()
    assert scene.call(scene.api, TENANT, LOG_IN, TENANT, id_, DAY) == [(True,)]
    return id_


def held(scene, who):
    """A run of hers that is under way."""
    [one] = scene.hold()
    scene.admin.execute("update holdfast.runs set principal = %s where id = %s", [str(who), one.run])
    return one


def sign_in(scene, days, connection=None):
    values = [TENANT, uuid4(), DAY + timedelta(days=days)]
    return scene.call(connection or scene.api, TENANT, LOG_IN, *values)


def test_a_run_that_parks_just_after_she_signed_in_is_taken_up_again(scene):
    run = held(scene, principal(scene))
    sign_in(scene, 1)
    assert scene.row(run.run)["stale"]
    assert outcomes(scene.worker, Member(run, next=PARK | {"waiting_on": "login"})) == ["appended"]
    scene.tick()
    assert (scene.row(run.run)["state"], scene.row(run.run)["waiting_on"]) == ("queued", None)


def test_one_that_looks_while_she_signs_in_waits_for_that(scene):
    run = held(scene, principal(scene))
    given = [TENANT, run.run, run.worker, run.epoch]
    before = scene.call(scene.worker, TENANT, RENEW, *given)[0].claims_age_s
    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_worker") as looking:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(LOG_IN, [TENANT, uuid4(), DAY + timedelta(days=1)])
        look = Aside(lambda: scene.call(looking, TENANT, RENEW, *given)[0].claims_age_s)
        scene.until_waiting(looking)
        slow.execute("commit")
        assert before - look.result() > timedelta(hours=23).total_seconds()


def test_it_touches_the_runs_that_it_is_about_and_no_others(scene):
    """Somebody may have many that wait for something else, and signs in every few minutes."""
    who = principal(scene)
    runs = {wait: held(scene, who) for wait in ("login", "approval", "rights")}
    others = held(scene, uuid4())
    for wait, run in runs.items():
        assert outcomes(scene.worker, Member(run, next=PARK | {"waiting_on": wait})) == ["appended"]
    sign_in(scene, 1)
    found = {wait: (scene.row(run.run)["state"], scene.row(run.run)["stale"]) for wait, run in runs.items()}
    assert found == {"login": ("queued", True), "approval": ("parked", False), "rights": ("parked", False)}
    assert not scene.row(others.run)["stale"]


def test_what_others_change_of_her_rights_lets_it_look_again_too(scene):
    who = principal(scene)
    run = held(scene, who)
    assert outcomes(scene.worker, Member(run, next=PARK | {"waiting_on": "login"})) == ["appended"]
    sql = "select holdfast.grant_role(%s, %s, 'approver', 'me')"
    assert scene.call(scene.api, TENANT, sql, TENANT, who) == [("changed",)]
    assert scene.row(run.run)["state"] == "queued"


def test_an_older_token_wakes_nothing(scene):
    run = held(scene, principal(scene))
    assert outcomes(scene.worker, Member(run, next=PARK | {"waiting_on": "login"})) == ["appended"]
    sign_in(scene, 0)
    sign_in(scene, -1)
    assert scene.row(run.run)["state"] == "parked"
