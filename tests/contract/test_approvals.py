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


def test_nobody_who_is_disabled_decides_though_anybody_might(scene):
    """They may have been let in before they were."""
    held, task = asked(scene)
    ben = str(uuid4())
    create = "select holdfast.create_principal(%s, %s, 'person', 'Ben', null, array['approver'], 'me')"
    scene.call(scene.api, TENANT, create, TENANT, ben)
    scene.call(scene.api, TENANT, "select holdfast.set_disabled(%s, %s, true, 'me')", TENANT, ben)
    said = scene.decide(task, "approved", by=ben)
    assert (said.outcome, said.why, said.state) == ("refused", "disabled", "pending")
    assert scene.row(held.run)["state"] == "parked"
    assert scene.decide(task, "approved").outcome == "decided"


def test_exactly_one_of_many_deciders_wins(scene):
    held, task = asked(scene)

    def decide(who):
        with scene.connect("holdfast_api") as api:
            return scene.call(
                api,
                TENANT,
                "select outcome, decided_by"
                " from holdfast.decide_approval(%s, %s, %s, 'shown', %s, null, null, 0, null)",
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


def in_doubt(scene, **more):
    [held] = scene.hold()
    task = approval(kind="in_doubt", key="k", **more)
    assert outcomes(scene.worker, Member(held, approvals=[task])) == ["appended"]
    return held, task["id"]


def closing(task, state="done"):
    return {"id": task, "closed": state, "by": "a report"}


def task_row(scene, task):
    return scene.admin.execute(
        "select state, decided_by, decided_at is not null from holdfast.approvals where id = %s", [task]
    ).fetchone()


def test_an_append_closes_a_task_and_a_decision_comes_too_late(scene):
    held, task = in_doubt(scene)
    assert outcomes(scene.worker, Member(held, approvals=[closing(task, "not_done")])) == ["appended"]
    assert task_row(scene, task) == ("not_done", "a report", True)
    said = scene.decide(task, "done")
    assert (said.outcome, said.state, said.decided_by) == ("already", "not_done", "a report")
    assert scene.row(held.run)["inbox_seq"] == 0


def test_a_task_may_be_opened_and_closed_by_one_append(scene):
    [held] = scene.hold()
    task = approval(kind="in_doubt")
    assert outcomes(scene.worker, Member(held, approvals=[closing(task["id"]), task])) == ["appended"]
    assert task_row(scene, task["id"])[0] == "done"


def test_a_fenced_append_closes_nothing(scene):
    held, task = in_doubt(scene)
    held.epoch -= 1
    assert outcomes(scene.worker, Member(held, approvals=[closing(task)])) == ["fenced"]
    assert task_row(scene, task)[0] == "pending"


def test_what_a_person_decided_before_stays(scene):
    held, task = in_doubt(scene)
    assert scene.decide(task, "fail_run").outcome == "decided"
    assert outcomes(scene.worker, Member(held, approvals=[closing(task)])) == ["appended"]
    assert task_row(scene, task)[:2] == ("fail_run", "me")


def test_another_runs_task_is_not_closed(scene):
    _, task = in_doubt(scene)
    [other] = scene.hold()
    assert outcomes(scene.worker, Member(other, approvals=[closing(task)])) == ["appended"]
    assert task_row(scene, task)[0] == "pending"


def test_an_append_does_not_wait_for_a_task_that_somebody_holds(scene):
    held, task = in_doubt(scene)
    [other] = scene.hold()
    with scene.locked("approvals", "id = %s", task):
        said = outcomes(scene.worker, Member(held, approvals=[closing(task)]), Member(other))
    assert said == ["busy", "appended"]
    assert outcomes(scene.worker, Member(held, approvals=[closing(task)])) == ["appended"]


def test_nobody_decides_while_a_report_of_the_effect_waits_to_be_read(scene):
    held, task = in_doubt(scene)
    scene.signal(held.run, "late_outcome", dedupe="late:other:1:value")
    scene.signal(held.run, "late_outcome", dedupe="late:k:1:value")
    said = scene.decide(task, "not_done")
    assert (said.outcome, said.state) == ("reported", "pending")
    assert scene.row(held.run)["inbox_seq"] == 2
    # Its reader found that it says nothing of this attempt.
    assert outcomes(scene.worker, Member(held, folded=2)) == ["appended"]
    assert scene.decide(task, "not_done").outcome == "decided"
