"""Signals are never lost, never doubled, and wake what is parked."""

from uuid import uuid4

import pytest

from support.store_scene import PARK, SUCCEED, TENANT, Aside, Member, outcomes


@pytest.mark.parametrize("waiting_on", ["signal", "approval", "timer", "code", "quarantine"])
def test_a_signal_wakes_a_parked_run(scene, waiting_on):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, next={**PARK, "waiting_on": waiting_on})) == ["appended"]
    told = scene.signal(held.run)
    assert (told.outcome, told.seq) == ("delivered", 1)
    row = scene.row(held.run)
    assert (row["state"], row["waiting_on"], row["inbox_seq"]) == ("queued", None, 1)


def test_a_signal_leaves_a_running_run_with_its_worker(scene):
    [held] = scene.hold()
    scene.signal(held.run)
    row = scene.row(held.run)
    assert (row["state"], row["worker"], row["inbox_seq"]) == ("running", held.worker, 1)


def test_a_signal_that_races_with_parking_is_not_slept_through(scene):
    """The append that parks holds the row; the signal comes after it and finds the run parked."""
    [held] = scene.hold()
    with scene.worker.transaction():
        assert outcomes(scene.worker, Member(held, next=PARK)) == ["appended"]
        told = Aside(lambda: scene.signal(held.run))
        scene.until_waiting(scene.api)
    assert told.result().outcome == "delivered"
    assert scene.row(held.run)["state"] == "queued"


def test_the_same_dedupe_answers_with_the_first_also_after_the_end(scene):
    [held] = scene.hold()
    first = scene.signal(held.run, "message", dedupe="a")
    again = scene.signal(held.run, "message", dedupe="a")
    assert (again.outcome, again.seq) == ("repeated", first.seq)
    assert scene.row(held.run)["inbox_seq"] == 1
    assert outcomes(scene.worker, Member(held, folded=1, next=SUCCEED)) == ["appended"]
    assert scene.signal(held.run, "message", dedupe="a").outcome == "repeated"
    assert scene.signal(held.run, "message", dedupe="b").outcome == "finished"


def test_an_absent_run_and_another_tenants_run_are_alike(scene):
    [held] = scene.hold()
    assert scene.signal(uuid4()).outcome == "absent"
    assert scene.signal(held.run, tenant=uuid4()).outcome == "absent"
    assert scene.row(held.run)["inbox_seq"] == 0


def test_signals_are_numbered_in_order_under_concurrency(scene):
    [held] = scene.hold()

    def send():
        with scene.connect("holdfast_api") as api:
            for _ in range(20):
                scene.call(
                    api,
                    TENANT,
                    "select holdfast.deliver_signal(%s, %s, 'wake', '{}', null, null, 'me', null)",
                    TENANT,
                    held.run,
                )

    for job in [Aside(send) for _ in range(3)]:
        job.result()
    assert scene.row(held.run)["inbox_seq"] == 60
    assert scene.one("select array_agg(seq order by seq) from holdfast.signals where run = %s", held.run) == list(
        range(1, 61)
    )


def test_cancel_marks_the_run_and_lets_a_queued_one_be_claimed(scene):
    run = scene.accept()
    scene.signal(run, "cancel")
    [claimed] = scene.claim(scene.register())
    assert claimed.cancelling
