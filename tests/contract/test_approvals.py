"""Human tasks: one winner, exactly what was shown, and the run is told in the same commit."""

from uuid import uuid4

import pytest

from support.store_scene import PARK, SUCCEED, TENANT, Aside, Member, approval, outcomes


def asked(scene, **more):
    [held] = scene.hold()
    task = approval(**more)
    member = Member(held, approvals=[task], next={**PARK, "waiting_on": "approval"})
    assert outcomes(scene.worker, member) == ["appended"]
    return held, task["id"]


def test_a_decision_settles_the_task_and_wakes_the_run(scene):
    held, task = asked(scene)
    said = scene.decide(task, "approved")
    assert (said.outcome, said.state, said.decided_by, said.run, said.seq) == ("decided", "approved", "me", held.run, 1)
    assert scene.row(held.run)["state"] == "queued"
    assert scene.one("select kind from holdfast.signals where run = %s", held.run) == "decision"


def test_exactly_one_of_many_deciders_wins(scene):
    held, task = asked(scene)

    def decide(who):
        with scene.connect("holdfast_api") as api:
            return scene.call(
                api,
                TENANT,
                "select outcome, decided_by from holdfast.decide_approval(%s, %s, %s, 'shown', %s, '{}', null, null)",
                TENANT,
                task,
                "approved" if who % 2 else "rejected",
                str(who),
            )[0]

    answers = [job.result() for job in [Aside(lambda who=who: decide(who)) for who in range(6)]]
    winners = [answer for answer in answers if answer.outcome == "decided"]
    assert len(winners) == 1
    assert {answer.decided_by for answer in answers} == {winners[0].decided_by}
    assert scene.row(held.run)["inbox_seq"] == 1


def test_another_digest_decides_nothing(scene):
    held, task = asked(scene)
    assert scene.decide(task, "approved", digest="other").outcome == "mismatch"
    assert scene.one("select state from holdfast.approvals where id = %s", task) == "pending"
    assert scene.row(held.run)["state"] == "parked"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("approval", ["approved", "rejected"], ["done", "not_done", "fail_run", "void", "pending"]),
        ("in_doubt", ["done", "not_done", "fail_run"], ["approved", "rejected", "void", "pending"]),
    ],
)
def test_verdicts_fit_the_kind(scene, kind, good, bad):
    for verdict in bad:
        _, task = asked(scene, kind=kind)
        assert scene.decide(task, verdict).outcome == "invalid"
    for verdict in good:
        _, task = asked(scene, kind=kind)
        assert scene.decide(task, verdict).state == verdict


def test_for_a_run_that_has_ended_it_is_only_recorded(scene):
    [held] = scene.hold()
    doubted = approval(kind="in_doubt")
    assert outcomes(scene.worker, Member(held, approvals=[doubted], next=SUCCEED)) == ["appended"]
    said = scene.decide(doubted["id"], "done")
    assert (said.outcome, said.seq) == ("decided", None)
    assert scene.one("select count(*) from holdfast.signals where run = %s", held.run) == 0


def test_a_voided_task_cannot_be_decided(scene):
    [held] = scene.hold()
    task = approval()
    assert outcomes(scene.worker, Member(held, approvals=[task], next=SUCCEED)) == ["appended"]
    said = scene.decide(task["id"], "approved")
    assert (said.outcome, said.state) == ("already", "void")


def test_absent_and_another_tenants_are_alike(scene):
    _, task = asked(scene)
    assert scene.decide(uuid4(), "approved").outcome == "absent"
    assert scene.decide(task, "approved", tenant=uuid4()).outcome == "absent"
