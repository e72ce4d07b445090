"""What time does to questions, and what happens at the same time: one winner, and a clear answer to the other."""

import psycopg
import pytest

from support.authority import asking, change, held_for, history, person, row_of, told
from support.store_scene import TENANT, Aside, Member, outcomes

HOUR_S = 3600.0


@pytest.fixture
def ann(scene):
    return person(scene, "user")


@pytest.fixture
def admins(scene):
    return [person(scene, "admin") for _ in range(3)]


@pytest.mark.parametrize("on_expiry", ["reject", "fail_run"])
def test_the_tick_ends_a_question_once_and_tells_the_run(scene, ann, admins, on_expiry):
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins", expires_s=HOUR_S, on_expiry=on_expiry)
    scene.decide(task, "approved", by=admins[0])
    scene.move_clock(HOUR_S - 60)
    assert scene.tick() == {}
    scene.move_clock(61)
    assert scene.tick() == {"expired": 1}
    assert scene.tick() == {}
    assert row_of(scene, task, "state", "decided_by", "due_at") == ("expired", "expiry", None)
    [decision] = told(scene, held.run)
    assert (decision["verdict"], decision["on_expiry"], decision["by"]) == ("expired", on_expiry, "expiry")
    assert scene.row(held.run)["state"] == "queued"
    assert history(scene, task)[-1] == ("expired", "expiry")
    late = scene.decide(task, "approved", by=admins[1])
    assert (late.outcome, late.state, late.decided_by) == ("already", "expired", "expiry")


def test_a_decision_behind_its_time_comes_too_late_though_no_tick_has_come(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin", expires_s=HOUR_S)
    scene.move_clock(HOUR_S + 1)
    late = scene.decide(task, "approved", by=admins[0])
    assert (late.outcome, late.state) == ("already", "expired")
    assert scene.tick() == {}
    assert [one["verdict"] for one in told(scene, held.run)] == ["expired"]


def test_silence_says_nothing_of_an_effect_in_doubt(scene, ann):
    held = held_for(scene, ann)
    waits = asking(scene, held, "", kind="in_doubt", park=False, expires_s=1)
    fails = asking(scene, held, "", kind="in_doubt", park=False, expires_s=1, on_expiry="fail_run")
    scene.move_clock(60)
    assert scene.tick() == {"expired": 1}
    assert (row_of(scene, waits, "state"), row_of(scene, fails, "state")) == ("pending", "fail_run")
    assert [(one["verdict"], one["by"]) for one in told(scene, held.run)] == [("fail_run", "expiry")]


def test_a_question_goes_to_others_and_votes_that_count_stay(scene, ann, admins):
    approver = person(scene, "approver")
    held = held_for(scene, ann)
    chain = [[2 * HOUR_S, "three admins"], [HOUR_S, "two admins"]]
    task = asking(scene, held, "two approvers", escalate=chain, expires_s=3 * HOUR_S)
    scene.decide(task, "approved", by=admins[0])
    scene.move_clock(HOUR_S + 1)
    assert scene.tick() == {"escalated": 1}
    assert scene.tick() == {}
    assert row_of(scene, task, "ask", "escalated") == ("two admins", 1)
    assert (scene.decide(task, "approved", by=approver).why, told(scene, held.run)) == ("role", [])
    scene.move_clock(HOUR_S)
    assert scene.tick() == {"escalated": 1}
    assert scene.decide(task, "approved", by=admins[1]).agreed == 2
    assert scene.decide(task, "approved", by=admins[2]).outcome == "decided"
    assert history(scene, task)[1:3] == [("escalated", "clock"), ("escalated", "clock")]


def test_where_fewer_are_asked_from_then_on_the_votes_there_are_may_be_enough(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "three admins", escalate=[[HOUR_S, "two admins"], [2 * HOUR_S, "admin"]])
    scene.decide(task, "approved", by=admins[0])
    scene.move_clock(3 * HOUR_S)
    assert scene.tick() == {"escalated": 2}
    assert row_of(scene, task, "state", "decided_by", "ask") == ("approved", admins[0], "admin")
    assert [one["voters"] for one in told(scene, held.run)] == [[admins[0]]]


def test_times_that_have_passed_unseen_come_in_their_order(scene, ann, admins):
    """A worker that was away for hours: what would have been settled by the second is not ended by the third."""
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins", escalate=[[HOUR_S, "admin"]], expires_s=2 * HOUR_S)
    scene.decide(task, "approved", by=admins[0])
    scene.move_clock(5 * HOUR_S)
    scene.tick()
    assert [one["verdict"] for one in told(scene, held.run)] == ["approved"]


def test_an_escalation_behind_the_end_never_comes(scene, ann):
    held = held_for(scene, ann)
    task = asking(scene, held, "user", escalate=[[2 * HOUR_S, "admin"]], expires_s=HOUR_S)
    scene.move_clock(3 * HOUR_S)
    assert scene.tick() == {"expired": 1}
    assert row_of(scene, task, "ask") == "user"


def test_the_tick_waits_for_nobody_and_comes_back(scene, ann):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin", expires_s=1)
    scene.move_clock(60)
    for table, where, value in (
        ("runs", "id = %s", held.run),
        ("approvals", "id = %s", task),
        ("tenants", "id = %s", TENANT),
    ):
        with scene.locked(table, where, value):
            assert scene.tick() == {}, table
    assert scene.tick() == {"expired": 1}


def test_of_many_who_vote_at_once_one_settles_it_and_the_run_is_told_once(scene, ann):
    people = [person(scene, "admin") for _ in range(6)]
    held = held_for(scene, ann)
    task = asking(scene, held, "three admins")

    def vote(who):
        with scene.connect("holdfast_api") as api:
            return scene.decide(task, "approved", by=who, connection=api)

    answers = [job.result() for job in [Aside(lambda who=who: vote(who)) for who in people * 2]]
    assert sorted(one.outcome for one in answers if one.outcome in {"voted", "decided"}) == [
        "decided",
        "voted",
        "voted",
    ]
    assert {one.outcome for one in answers} <= {"voted", "decided", "again", "already"}
    [decision] = told(scene, held.run)
    assert len(set(decision["voters"])) == 3


@pytest.mark.parametrize("first", ["decision", "expiry"])
def test_a_decision_against_expiry(scene, ann, admins, first):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin", expires_s=HOUR_S)
    ticking, deciding = scene.connect("holdfast_worker"), scene.connect("holdfast_api")
    if first == "decision":
        with deciding.transaction():
            assert scene.decide(task, "approved", by=admins[0], connection=deciding).outcome == "decided"
            scene.move_clock(HOUR_S + 1)
            assert scene.tick(connection=ticking) == {}, "it waits for nobody"
        assert scene.tick() == {}
    else:
        scene.move_clock(HOUR_S + 1)
        with ticking.transaction():
            assert scene.tick(connection=ticking) == {"expired": 1}
            other = Aside(lambda: scene.decide(task, "approved", by=admins[0], connection=deciding))
            scene.until_waiting(deciding)
        assert other.result().state == "expired"
    assert len(told(scene, held.run)) == 1


def test_a_role_that_is_being_taken_is_taken_before_the_vote_that_waits(scene, ann, admins):
    task = asking(scene, held_for(scene, ann), "admin")
    changing, deciding = scene.connect("holdfast_api"), scene.connect("holdfast_api")
    with changing.transaction():
        assert change(scene, "revoke_role", admins[0], "admin", connection=changing) == "changed"
        vote = Aside(lambda: scene.decide(task, "approved", by=admins[0], connection=deciding))
        scene.until_waiting(deciding)
    assert vote.result().why == "role"


def test_a_vote_that_is_being_counted_is_counted_before_the_role_is_taken(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin")
    changing, deciding = scene.connect("holdfast_api"), scene.connect("holdfast_api")
    with deciding.transaction():
        assert scene.decide(task, "approved", by=admins[0], connection=deciding).outcome == "decided"
        taken = Aside(lambda: change(scene, "revoke_role", admins[0], "admin", connection=changing))
        scene.until_waiting(changing)
    assert taken.result() == "changed"
    assert told(scene, held.run)[0]["voters"] == [admins[0]]


def test_a_run_that_ends_at_the_same_time_waits_for_the_decision_or_voids_the_question(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin", park=False)
    deciding = scene.connect("holdfast_api")
    with deciding.transaction():
        assert scene.decide(task, "approved", by=admins[0], connection=deciding).outcome == "decided"
        assert outcomes(scene.worker, Member(held, next={"state": "succeeded"})) == ["busy"]
    assert outcomes(scene.worker, Member(held, next={"state": "succeeded"})) == ["signalled"], "it has to fold it first"


def test_what_nobody_can_write_is_refused_before_it_is_stored(scene, ann):
    held = held_for(scene, ann)
    with pytest.raises(psycopg.errors.CheckViolation):
        asking(scene, held, "six admins")
