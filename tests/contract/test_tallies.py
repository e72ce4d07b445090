"""Sums: an intent is committed only on the sum that it was decided on, and what an effect adds is added once."""

from dataclasses import replace

import pytest
from psycopg.errors import InsufficientPrivilege

from support.store_scene import AT, Member, outcomes

READ = "select seen, own from holdfast.read_tallies(%s, %s, %s, array['spent'], array['ann'], array[%s::timestamptz])"


def adds(amount, seen, key="effect", **more):
    return {"key": key, "name": "spent", "owner": "ann", "since": AT, "amount": amount, "seen": seen, **more}


def read(scene, held, key="effect"):
    with scene.connect("holdfast_worker") as worker, worker.transaction():
        worker.execute("select set_config('holdfast.tenant', %s, true)", [str(held.tenant)])
        return worker.execute(READ, [held.tenant, held.run, key, AT]).fetchone()


def test_a_sum_begins_at_nothing_and_grows_by_what_is_reserved(scene):
    [held] = scene.hold()
    assert read(scene, held) == (0, None)
    assert outcomes(scene.worker, Member(held, intent=True, tallies=[adds(5, 0)])) == ["appended"]
    assert read(scene, held) == (5, 5)
    assert read(scene, held, "another") == (5, None)


def test_an_intent_decided_on_another_sum_is_refused_whole(scene):
    first, second = scene.hold(2)
    read(scene, first)
    assert outcomes(scene.worker, Member(first, intent=True, tallies=[adds(5, 0)])) == ["appended"]
    member = Member(replace(second), intent=True, tallies=[adds(5, 0, "other")])
    assert outcomes(scene.worker, member) == ["moved"]
    assert read(scene, second, "other") == (5, None)
    assert scene.row(second.run)["seq"] == second.seq


def test_of_two_in_one_batch_that_were_decided_on_one_sum_the_first_is_reserved(scene):
    """Summed naively, both would pass: the limit is crossed by whoever is second."""
    helds = scene.hold(3)
    read(scene, helds[0])
    batch = [Member(held, intent=True, tallies=[adds(5, 0, f"e{n}")]) for n, held in enumerate(helds)]
    assert sorted(outcomes(scene.worker, *batch)) == ["appended", "moved", "moved"]
    assert read(scene, helds[0])[0] == 5


def test_a_sum_that_another_holds_is_busy_and_the_others_go_in(scene):
    first, other = scene.hold(2)
    read(scene, first)
    with scene.locked("tallies", "name = %s", "spent"):
        batch = [Member(replace(first), intent=True, tallies=[adds(5, 0)]), Member(other)]
        assert outcomes(scene.worker, *batch) == ["busy", "appended"]
    assert outcomes(scene.worker, Member(first, intent=True, tallies=[adds(5, 0)])) == ["appended"]


def test_an_effect_that_is_announced_again_adds_nothing(scene):
    [held] = scene.hold()
    read(scene, held)
    assert outcomes(scene.worker, Member(held, intent=True, tallies=[adds(5, 0)])) == ["appended"]
    assert outcomes(scene.worker, Member(held, intent=True, tallies=[adds(5, 5)])) == ["appended"]
    assert read(scene, held) == (5, 5)


def test_what_is_released_is_taken_back_once(scene):
    [held] = scene.hold()
    read(scene, held)
    outcomes(scene.worker, Member(held, intent=True, tallies=[adds(5, 0)]))
    outcomes(scene.worker, Member(held, intent=True, tallies=[adds(7, 5, "kept")]))
    for _ in range(2):
        assert outcomes(scene.worker, Member(held, tallies=[{"key": "effect", "released": True}])) == ["appended"]
    assert read(scene, held) == (7, None)


def test_a_sum_that_is_only_looked_at_has_to_be_what_it_was(scene):
    first, second = scene.hold(2)
    read(scene, first)
    outcomes(scene.worker, Member(first, intent=True, tallies=[adds(5, 0)]))
    assert outcomes(scene.worker, Member(replace(second), intent=True, tallies=[adds(0, 0, "looks")])) == ["moved"]
    assert outcomes(scene.worker, Member(second, intent=True, tallies=[adds(0, 5, "looks")])) == ["appended"]


def test_another_tenants_sum_cannot_be_read(scene):
    [held] = scene.hold()
    with scene.connect("holdfast_worker") as worker, worker.transaction(force_rollback=True):
        worker.execute("select set_config('holdfast.tenant', %s, true)", ["00000000-0000-0000-0000-00000000000a"])
        with pytest.raises(InsufficientPrivilege):
            worker.execute(READ, [held.tenant, held.run, "effect", AT])
