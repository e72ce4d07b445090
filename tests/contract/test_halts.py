"""Halts: once one is acknowledged, no intent that it covers commits; facts always do."""

import threading
from uuid import uuid4

import psycopg
import pytest

from support.store_scene import TENANT, Aside, Member, outcomes


@pytest.mark.parametrize(("scope", "key"), [("tenant", ""), ("task", "t"), ("run", None)])
def test_a_halt_refuses_intents_but_not_facts(scene, scope, key):
    [held] = scene.hold()
    assert scene.halt(scope, str(held.run) if key is None else key)
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"]
    assert outcomes(scene.worker, Member(held, progress=True)) == ["appended"]


def test_a_halt_covers_only_what_it_names(scene):
    worker = scene.register()
    [held] = scene.hold(worker=worker)
    [foreign] = scene.hold(worker=worker, tenant=uuid4())
    scene.halt("task", "another")
    scene.halt("run", str(uuid4()))
    assert outcomes(scene.worker, Member(held, intent=True), Member(foreign, intent=True)) == ["appended"] * 2
    scene.halt("tenant")
    assert outcomes(scene.worker, Member(held, intent=True), Member(foreign, intent=True)) == ["halted", "appended"]


def test_a_halt_of_everything_is_a_row_of_the_nil_tenant(scene):
    [held] = scene.hold()
    scene.admin.execute(
        "insert into holdfast.halts values ('00000000-0000-0000-0000-000000000000', 'everything', '', 'w', 'm', now())"
    )
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"]


def test_lifting_lets_intents_in_again(scene):
    [held] = scene.hold()
    scene.halt("tenant")
    assert not scene.halt("tenant"), "it was in force already"
    [said] = scene.call(scene.api, TENANT, "select holdfast.lift_halt(%s, 'tenant', '')", TENANT)
    assert said == (True,)
    assert outcomes(scene.worker, Member(held, intent=True)) == ["stale"], "what its holder went by has changed"
    renew = "select * from holdfast.renew_rights(%s, %s, %s, %s)"
    scene.call(scene.worker, TENANT, renew, TENANT, held.run, held.worker, held.epoch)
    assert outcomes(scene.worker, Member(held, intent=True)) == ["appended"]


def test_a_halt_waits_for_appends_under_way(scene):
    [held] = scene.hold()
    with scene.worker.transaction():
        assert outcomes(scene.worker, Member(held, intent=True)) == ["appended"]
        halting = Aside(lambda: scene.halt("tenant"))
        scene.until_waiting(scene.api)
        assert not halting.done
    assert halting.result()
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"]


def test_an_append_that_waited_for_the_halt_sees_it(scene):
    """It began before the halt committed, and its snapshot must not be older than the lock."""
    [held] = scene.hold()
    with scene.api.transaction():
        scene.api.execute("select set_config('holdfast.tenant', %s, true)", [str(TENANT)])
        scene.api.execute("select holdfast.declare_halt(%s, 'tenant', '', 'why', 'me')", [TENANT])
        waiting = Aside(lambda: outcomes(scene.worker, Member(held, intent=True)))
        scene.until_waiting(scene.worker)
    assert waiting.result() == ["halted"]


def test_after_the_acknowledgement_no_intent_commits(scene):
    """Writers at full speed; what the journals hold when the halt is acknowledged is all they ever hold."""
    helds = scene.hold(6)
    going = threading.Barrier(4)

    def write(mine):
        with scene.connect("holdfast_worker") as connection:
            going.wait(60)
            count = 0
            while set(outcomes(connection, *(Member(h, intent=True) for h in mine))) == {"appended"}:
                count += 1
            return count

    writers = [Aside(lambda mine=helds[n : n + 2]: write(mine)) for n in (0, 2, 4)]
    going.wait(60)
    scene.halt("tenant")
    at_acknowledgement = scene.one("select count(*) from holdfast.events")
    assert all(writer.result() >= 0 for writer in writers)
    assert scene.one("select count(*) from holdfast.events") == at_acknowledgement


def test_a_tenant_halts_only_itself(scene):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.call(scene.api, TENANT, "select holdfast.declare_halt(%s, 'tenant', '', 'w', 'm')", uuid4())
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        scene.halt("everything")


def test_a_worker_does_not_halt(scene):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.halt("tenant", connection=scene.worker)
