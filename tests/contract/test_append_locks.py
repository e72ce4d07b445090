"""Locks: a row that somebody holds delays its own member only, and nothing ever deadlocks."""

from dataclasses import replace
from uuid import uuid4

from support.store_scene import SUCCEED, Aside, Member, append, approval, outcomes


def appended_beside(scene, members):
    """What a batch answers; it must not wait, so it is given far less than the lock is held."""
    with scene.connect("holdfast_worker") as worker:
        worker.execute("set statement_timeout = '10s'")
        return outcomes(worker, *members)


def test_a_held_run_row_is_busy_and_the_others_go_in(scene):
    helds = scene.hold(8)
    with scene.locked("runs", "id = %s", helds[3].run):
        answers = appended_beside(scene, [Member(replace(h)) for h in helds])
    assert answers == ["busy" if n == 3 else "appended" for n in range(8)]
    assert outcomes(scene.worker, Member(helds[3])) == ["appended"], "busy is not fenced"


def test_a_held_run_row_that_is_no_longer_the_writers_is_fenced(scene):
    [held] = scene.hold()
    with scene.locked("runs", "id = %s", held.run):
        assert appended_beside(scene, [Member(replace(held, epoch=5))]) == ["fenced"]


def test_busy_still_says_what_the_inbox_holds(scene):
    [held] = scene.hold()
    scene.signal(held.run, "cancel")
    with scene.locked("runs", "id = %s", held.run):
        [answer] = append(scene.worker, Member(held))
    assert (answer.outcome, answer.inbox_seq, answer.cancelling) == ("busy", 1, True)


def test_a_held_session_row_delays_only_the_run_that_ends(scene):
    session = uuid4()
    worker = scene.register()
    [ends] = scene.hold(worker=worker, session=session)
    [same_session] = scene.hold(worker=worker, session=session)
    [other] = scene.hold(worker=worker)
    with scene.locked("sessions", "id = %s", session):
        batch = [Member(replace(ends), next=SUCCEED), Member(same_session), Member(other, next=SUCCEED)]
        assert appended_beside(scene, batch) == ["busy", "appended", "appended"]
    assert scene.row(ends.run)["state"] == "running"
    assert outcomes(scene.worker, Member(ends, next=SUCCEED)) == ["appended"]


def test_a_held_approval_row_delays_only_the_run_that_ends(scene):
    ends, other = scene.hold(2)
    asked = approval()
    assert outcomes(scene.worker, Member(ends, approvals=[asked])) == ["appended"]
    with scene.locked("approvals", "id = %s", asked["id"]):
        batch = [Member(replace(ends), next=SUCCEED), Member(other, next=SUCCEED)]
        assert appended_beside(scene, batch) == ["busy", "appended"]
    assert outcomes(scene.worker, Member(ends, next=SUCCEED)) == ["appended"]


def test_held_rows_of_workers_halts_signals_and_content_delay_nobody(scene):
    [held] = scene.hold()
    scene.signal(held.run)
    scene.halt("task", "another")
    for table, where, value in (
        ("workers", "id = %s", held.worker),
        ("halts", "key = %s", "another"),
        ("signals", "run = %s", held.run),
        ("blobs", "run = %s", held.run),
        ("events", "run = %s", held.run),
    ):
        with scene.locked(table, where, value):
            assert appended_beside(scene, [Member(held, intent=True, blobs=[(b"d", b"x")])]) == ["appended"], table


def test_a_signal_waits_for_a_running_append_and_both_are_there(scene):
    [held] = scene.hold()
    api = scene.connect("holdfast_api")
    with scene.worker.transaction():
        assert outcomes(scene.worker, Member(held)) == ["appended"]
        scene.api = api
        told = Aside(lambda: scene.signal(held.run))
        scene.until_waiting(api)
    assert told.result().outcome == "delivered"
    assert outcomes(scene.worker, Member(held)) == ["appended"]


def test_batches_renewals_ticks_claims_signals_and_releases_never_deadlock(scene):
    """Each in its own session, over the same rows, in orders of their own."""
    worker = scene.register()
    helds = scene.hold(24, worker=worker)
    runs = [h.run for h in helds]

    def appends(order):
        def act():
            with scene.connect("holdfast_worker") as connection:
                mine = [replace(h) for h in helds]
                said = set()
                for _ in range(40):
                    said |= set(outcomes(connection, *(Member(mine[i]) for i in order)))
                return said

        return act

    def verbs(sql, *values):
        def act():
            with scene.connect("holdfast_worker") as connection:
                for _ in range(60):
                    connection.execute(sql, values)

        return act

    def signals():
        with scene.connect("holdfast_api") as connection:
            for run in runs[::-1] * 4:
                scene.call(
                    connection,
                    helds[0].tenant,
                    "select holdfast.deliver_signal(%s, %s, 'wake', '{}', null, null, 'me', null)",
                    helds[0].tenant,
                    run,
                )

    up, down = list(range(24)), list(range(23, -1, -1))
    jobs = [
        Aside(act)
        for act in (
            appends(up),
            appends(down),
            appends(down[::2] + up[::2]),
            signals,
            verbs("select holdfast.renew_lease(%s, %s)", worker, runs),
            verbs("select holdfast.tick(100)"),
            verbs("select holdfast.release_runs(%s, %s, false)", worker, runs[::5]),
            verbs("select holdfast.claim_runs(%s, 100, '{t}', '{1}', '{100}')", worker),
        )
    ]
    said = [job.result() for job in jobs][:3]
    assert all("appended" in found or "fenced" in found for found in said)
