"""Claims: who gets which run, and in what order."""

from uuid import uuid4

import pytest

from support.store_scene import PARK, TENANT, Aside, Member, outcomes


def order(rows):
    return [row.id for row in rows]


def test_a_claim_makes_the_run_the_workers(scene):
    run, worker = scene.accept(), scene.register()
    [claimed] = scene.claim(worker)
    assert (claimed.tenant, claimed.id, claimed.epoch, claimed.seq, claimed.head, claimed.claims) == (
        TENANT,
        run,
        1,
        1,
        b"h" * 32,
        1,
    )
    row = scene.row(run)
    assert (row["state"], row["worker"]) == ("running", worker)
    assert row["started_at"] is not None
    assert scene.claim(worker) == []


def test_no_more_than_wanted_nor_than_free_of_each_task(scene):
    for task in ("a", "b"):
        for _ in range(4):
            scene.accept(task=task)
    worker = scene.register(a=["1"], b=["1"])
    assert len(scene.claim(worker, 3, ("a", "b"), ("1", "1"), (9, 9))) == 3
    rest = scene.claim(worker, 9, ("a", "b"), ("1", "1"), (0, 9))
    assert {row.task for row in rest} == {"b"}
    assert len(scene.claim(worker, 9, ("a", "b"), ("1", "1"), (1, 0))) <= 1


def test_only_the_versions_asked_for(scene):
    old, new = scene.accept(version="1"), scene.accept(version="2")
    worker = scene.register(t=["2"])
    assert order(scene.claim(worker, versions=("2",))) == [new]
    assert scene.row(old)["state"] == "queued"


def test_by_priority_and_then_by_age(scene):
    first, second, urgent = scene.accept(), scene.accept(), scene.accept(priority=5)
    last = scene.accept(priority=-1)
    assert order(scene.claim(scene.register())) == [urgent, first, second, last]


def test_tenants_take_turns(scene):
    """A hundred runs of one tenant do not keep another waiting."""
    greedy, modest = uuid4(), uuid4()
    for _ in range(10):
        scene.accept(tenant=greedy)
    for _ in range(2):
        scene.accept(tenant=modest)
    worker = scene.register()
    assert sorted(row.tenant == modest for row in scene.claim(worker, 4)) == [False, False, True, True]


def test_tenants_with_fewest_running_go_first(scene):
    busy, idle = uuid4(), uuid4()
    worker = scene.register()
    for _ in range(3):
        scene.accept(tenant=busy)
    assert len(scene.claim(worker)) == 3
    scene.accept(tenant=busy)
    for _ in range(3):
        scene.accept(tenant=idle)
    assert [row.tenant for row in scene.claim(worker, 3)] == [idle] * 3


def test_priority_does_not_reach_over_tenants(scene):
    loud, quiet = uuid4(), uuid4()
    for _ in range(3):
        scene.accept(tenant=loud, priority=9)
    scene.accept(tenant=quiet)
    assert quiet in {row.tenant for row in scene.claim(scene.register(), 2)}


def test_a_row_that_is_held_is_skipped(scene):
    held, free = scene.accept(), scene.accept()
    with scene.locked("runs", "id = %s", held):
        assert order(scene.claim(scene.register())) == [free]


def test_many_workers_never_get_the_same_run(scene):
    runs = {scene.accept() for _ in range(60)}

    def take():
        worker = scene.register()
        with scene.connect("holdfast_worker") as connection:
            found = []
            while rows := scene.claim(worker, 3, connection=connection):
                found += order(rows)
            return found

    found = [run for job in [Aside(take) for _ in range(4)] for run in job.result()]
    assert len(found) == len(set(found))
    found += order(scene.claim(scene.register()))  # what all skipped because another looked at it
    assert set(found) == runs


@pytest.mark.parametrize("moved", [31, 3600])
def test_an_expired_lease_claims_nothing(scene, moved):
    scene.accept()
    worker = scene.register(lease_s=30)
    scene.move_clock(moved)
    assert scene.claim(worker) == []
    assert scene.claim(uuid4()) == []


def test_a_hand_over_keeps_its_place_and_counts_as_no_attempt(scene):
    worker = scene.register()
    first = scene.hold(worker=worker)[0].run
    second = scene.accept()
    assert scene.worker.execute("select holdfast.release_runs(%s, %s, false)", [worker, [first]]).fetchone() == (1,)
    row = scene.row(first)
    assert (row["state"], row["worker"], row["claims"]) == ("queued", None, 0)
    assert order(scene.claim(scene.register(), 1)) == [first]
    assert scene.row(second)["state"] == "queued"
    assert scene.row(first)["epoch"] == 2


def test_a_hundred_hand_overs_do_not_quarantine(scene):
    run = scene.accept()
    for _ in range(10):
        worker = scene.register()
        assert order(scene.claim(worker)) == [run]
        scene.worker.execute("select holdfast.release_runs(%s, %s, false)", [worker, [run]])
    assert scene.row(run)["state"] == "queued"


def test_given_back_as_failed_three_times_is_quarantine(scene):
    run, worker = scene.accept(), scene.register()
    for _ in range(3):
        assert order(scene.claim(worker)) == [run]
        scene.worker.execute("select holdfast.release_runs(%s, %s, true)", [worker, [run]])
    row = scene.row(run)
    assert (row["state"], row["waiting_on"], row["claims"]) == ("parked", "quarantine", 3)


def test_releasing_what_is_anothers_does_nothing(scene):
    [held] = scene.hold()
    thief = scene.register()
    assert scene.worker.execute("select holdfast.release_runs(%s, %s, false)", [thief, [held.run]]).fetchone() == (0,)
    assert scene.row(held.run)["worker"] == held.worker


def test_a_zombie_is_fenced_after_its_run_went_to_another(scene):
    zombie, heir = scene.register(lease_s=10), scene.register()
    [held] = scene.hold(worker=zombie)
    scene.move_clock(11)
    scene.tick()
    [claimed] = scene.claim(heir)
    assert (claimed.id, claimed.epoch) == (held.run, 2)
    assert outcomes(scene.worker, Member(held, intent=True)) == ["fenced"]


def test_parked_runs_are_not_claimed(scene):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, next=PARK)) == ["appended"]
    assert scene.claim(scene.register()) == []


def test_with_many_tenants_waiting_each_has_its_turn_and_nobody_is_left(scene):
    tenants = [uuid4() for _ in range(12)]
    runs = {scene.accept(tenant=tenant) for tenant in tenants} | {scene.accept(tenant=tenants[0]) for _ in range(20)}
    worker = scene.register()
    first = scene.claim(worker, 12)
    assert {row.tenant for row in first} == set(tenants)
    claimed = set(order(first))
    while rows := scene.claim(worker, 12):
        claimed |= set(order(rows))
    assert claimed == runs
