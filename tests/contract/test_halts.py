"""Halts: once one is acknowledged, no intent that it covers commits; facts always do."""

import json
import threading
from uuid import UUID, uuid4

import psycopg
import pytest

from support.store_scene import SUCCEED, TENANT, Aside, Member, outcomes

PLATFORM = UUID("00000000-0000-7000-8000-000000000000")
PARK = {"state": "parked", "waiting_on": "halt", "wake_at": None}
UNSURE = PARK | {"unsure": True}


def key_of(scope, held, session):
    return {"tenant": "", "task": "t", "run": str(held.run), "session": str(session), "user": "p", "everything": ""}[
        scope
    ]


RUNS = ("run", "session", "user", "task", "tenant", "everything")


def declared(scene, scope, held, session, **more):
    return scene.halt(scope, key_of(scope, held, session), tenant=PLATFORM if scope == "everything" else TENANT, **more)


@pytest.mark.parametrize("scope", RUNS)
def test_a_halt_refuses_intents_but_not_facts(scene, scope):
    session = uuid4()
    [held] = scene.hold(session=session)
    assert declared(scene, scope, held, session).is_new
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"]
    assert outcomes(scene.worker, Member(held, progress=True)) == ["appended"]
    assert outcomes(scene.worker, Member(held, next=SUCCEED)) == ["appended"]


def test_a_halt_covers_only_what_it_names(scene):
    worker = scene.register()
    [held] = scene.hold(worker=worker)
    [foreign] = scene.hold(worker=worker, tenant=uuid4())
    for scope, key in (("task", "another"), ("run", str(uuid4())), ("session", str(uuid4())), ("user", "another")):
        scene.halt(scope, key)
    assert outcomes(scene.worker, Member(held, intent=True), Member(foreign, intent=True)) == ["appended"] * 2
    scene.halt("tenant")
    assert outcomes(scene.worker, Member(held, intent=True), Member(foreign, intent=True)) == ["halted", "appended"]


@pytest.mark.parametrize(
    ("scope", "key", "held_back", "let_through"),
    [
        ("tool", "refund", ["tool:refund"], ["tool:look"]),
        ("tool", "refund", ["tool:look", "tool:refund"], ["model:refund"]),
        ("model", "gpt-5", ["model:gpt-5"], ["model:gpt-5-mini"]),
        ("model", "openai:gpt-5", ["model:gpt-5"], ["model:5"]),
        ("model", "llama3:8b", ["model:llama3:8b"], ["tool:llama3:8b"]),
    ],
)
def test_a_tool_or_a_model_is_asked_for_by_name_and_others_go_on(scene, scope, key, held_back, let_through):
    [held] = scene.hold()
    [foreign] = scene.hold(tenant=uuid4())
    scene.halt(scope, key)
    assert outcomes(scene.worker, Member(held, intent=True), Member(foreign, intent=True)) == ["unnamed", "appended"]
    assert outcomes(scene.worker, Member(held, intent=True, names=held_back)) == ["halted"]
    assert outcomes(scene.worker, Member(held, intent=True, names=let_through)) == ["appended"]
    assert outcomes(scene.worker, Member(held, progress=True)) == ["appended"], "a fact needs no name"


def test_everything_is_the_platforms_to_halt(scene):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.halt("everything")
    with pytest.raises(psycopg.errors.CheckViolation):
        scene.admin.execute(
            "insert into holdfast.halts (tenant, id, scope, key, reason, by, authority, at)"
            " values (%s, gen_random_uuid(), 'everything', '', 'w', 'm', 4, now())",
            [TENANT],
        )


def test_what_is_in_force_is_answered_and_the_longer_and_stronger_of_both_holds(scene):
    first = scene.halt("task", "t", authority=2, for_s=60)
    again = scene.halt("task", "t", authority=3, for_s=3600)
    assert (again.halt, again.is_new) == (first.halt, False)
    assert scene.one("select authority from holdfast.halts") == 3
    scene.halt("task", "t", authority=2, for_s=60)
    assert scene.one("select expires_at > at + interval '59 minutes' from holdfast.halts")
    scene.halt("task", "t", authority=2)
    assert scene.one("select expires_at is null and authority = 3 from holdfast.halts"), (
        "for good is longer than an hour"
    )


def test_who_halts_what_is_theirs_is_told_nothing_of_what_others_halted(scene):
    [held] = scene.hold()
    others = scene.halt("run", str(held.run), by="ops", authority=2)
    theirs = scene.halt("run", str(held.run), by="ann", authority=1)
    assert theirs.is_new
    assert theirs.halt != others.halt
    assert not scene.halt("run", str(held.run), by="ann", authority=1).is_new
    assert not scene.halt("run", str(held.run), by="boss", authority=3).is_new
    assert scene.lift(theirs.halt, authority=1, by="ann") == "lifted"
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"], "the other one holds"
    assert scene.halt("user", "ann", by="ops", authority=2).is_new
    assert not scene.halt("user", "ann", by="ann", authority=1).is_new, "what is about them they see"


def test_lifting_lets_intents_in_again(scene):
    [held] = scene.hold()
    halt = scene.halt("tenant").halt
    assert scene.lift(halt) == "lifted"
    assert scene.lift(halt) == "unchanged"
    assert scene.lift(uuid4()) == "absent"
    assert outcomes(scene.worker, Member(held, intent=True)) == ["stale"], "what its holder went by has changed"
    renew = "select * from holdfast.renew_rights(%s, %s, %s, %s)"
    scene.call(scene.worker, TENANT, renew, TENANT, held.run, held.worker, held.epoch)
    assert outcomes(scene.worker, Member(held, intent=True)) == ["appended"]
    assert scene.halt("tenant").is_new, "what was lifted can be declared again"


def test_lifting_takes_the_authors_authority_at_least(scene):
    halt = scene.halt("user", "ann", by="ben", authority=2).halt
    assert scene.lift(halt, authority=1, by="ann", only="ann") == "weak", "she sees it: it is about her"
    assert scene.lift(halt, authority=1, by="cy", only="cy") == "absent"
    assert scene.lift(halt, authority=2, by="dan") == "lifted"
    own = scene.halt("run", "r", by="ann", authority=1).halt
    assert scene.lift(own, authority=1, by="cy", only="cy") == "absent"
    assert scene.lift(own, authority=1, by="ann", only="ann") == "lifted"


@pytest.mark.parametrize("scope", RUNS)
def test_queued_runs_are_parked_when_their_turn_comes_and_go_on_when_it_is_lifted(scene, scope):
    session = uuid4()
    run = scene.accept(session=session)
    held = type("Held", (), {"run": run})
    halt = declared(scene, scope, held, session).halt
    worker = scene.register()
    assert scene.claim(worker) == []
    assert (scene.row(run)["state"], scene.row(run)["waiting_on"]) == ("parked", "halt")
    assert scene.lift(halt, tenant=PLATFORM if scope == "everything" else TENANT) == "lifted"
    assert [row.id for row in scene.claim(worker)] == [run]


def test_a_halted_queue_holds_up_nobody_behind_it(scene):
    for _ in range(60):
        scene.accept(principal="noisy", priority=5)
    quiet = scene.accept(principal="quiet")
    scene.halt("user", "noisy")
    assert [row.id for row in scene.claim(scene.register(), want=4)] == [quiet]


def test_what_is_to_be_cancelled_is_claimed_though_it_is_halted(scene):
    run = scene.accept()
    scene.halt("tenant")
    worker = scene.register()
    assert scene.claim(worker) == []
    scene.signal(run, "cancel")
    assert [row.id for row in scene.claim(worker)] == [run]


def test_a_run_goes_on_only_when_no_halt_covers_it_any_more(scene):
    runs = [scene.accept(), scene.accept(task="u")]
    task, tenant = scene.halt("task", "t").halt, scene.halt("tenant").halt
    worker = scene.register(t=["1"], u=["1"])
    both = {"tasks": ("t", "u"), "versions": ("1", "1"), "free": (9, 9)}
    assert scene.claim(worker, **both) == []
    scene.lift(tenant)
    assert [scene.row(run)["state"] for run in runs] == ["parked", "queued"]
    scene.lift(task)
    assert {row.id for row in scene.claim(worker, **both)} == set(runs)


def test_a_worker_that_heard_of_a_halt_parks_only_while_one_is_in_force(scene):
    first, second, third = scene.hold(3)
    halt = scene.halt("run", str(first.run)).halt
    assert outcomes(scene.worker, Member(first, next=UNSURE), Member(second, next=UNSURE)) == ["appended", "signalled"]
    scene.halt("tool", "refund")
    by_name = Member(second, next=UNSURE, names=["tool:refund"]), Member(third, next=UNSURE, names=["tool:look"])
    assert outcomes(scene.worker, *by_name) == ["appended", "signalled"]
    assert outcomes(scene.worker, Member(third, next=PARK)) == ["appended"], "one that was refused an intent is sure"
    scene.lift(halt)
    assert scene.row(first.run)["state"] == "queued"


def test_one_that_parks_as_its_halt_is_lifted_is_taken_up_again(scene):
    [held] = scene.hold()
    halt = scene.halt("task", "t").halt
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"]
    scene.lift(halt)
    assert outcomes(scene.worker, Member(held, next=PARK)) == ["appended"]
    assert scene.tick() == {"woken": 1}
    assert scene.row(held.run)["state"] == "queued"


def test_a_claim_that_parks_for_a_halt_is_over_before_it_is_lifted(scene):
    """Else the run would park after those that the halt held back were looked for, and sleep on."""
    run = scene.accept()
    halt = scene.halt("tenant").halt
    worker = scene.register()
    with scene.worker.transaction():
        assert scene.claim(worker) == []
        lifting = Aside(lambda: scene.lift(halt))
        scene.until_waiting(scene.api)
    assert lifting.result() == "lifted"
    assert scene.row(run)["state"] == "queued"


def test_what_was_held_back_is_queued_a_part_at_a_time(scene):
    for _ in range(250):
        scene.accept()
    halt = scene.halt("tenant").halt
    scene.claim(scene.register(), want=1000)
    count = "select count(*) from holdfast.runs where state = 'queued'"
    scene.lift(halt)
    assert scene.one(count) == 100
    assert scene.one("select freed_at from holdfast.halts") is None
    assert scene.tick(limit=120) == {"woken": 120}
    assert scene.tick(limit=120) == {"woken": 30}
    assert scene.tick() == {}
    assert scene.one("select freed_at is not null from holdfast.halts")


def test_a_halt_that_has_run_out_is_ended_by_the_tick_as_if_it_were_lifted(scene):
    [held] = scene.hold()
    waiting = scene.accept()
    halt = scene.halt("tenant", for_s=60).halt
    scene.halt("task", "t", for_s=600)
    scene.claim(held.worker)
    assert scene.tick() == {}
    scene.move_clock(61)
    assert scene.tick() == {"halts_due": 1}
    assert scene.worker.execute("select holdfast.expire_halts()").fetchone() == (1,)
    assert scene.row(waiting)["state"] == "parked", "the other halt is still in force"
    scene.move_clock(600)
    assert scene.worker.execute("select holdfast.expire_halts()").fetchone() == (1,)
    assert scene.row(waiting)["state"] == "queued"
    assert outcomes(scene.worker, Member(held, intent=True)) == ["stale"]
    ended = "select lifted_by from holdfast.halts where id = %s"
    assert scene.one(ended, halt) == "expiry"


def test_declaring_lifting_and_expiring_are_in_the_audit_log(scene):
    halt = scene.halt("task", "t", for_s=60).halt
    scene.halt("task", "t", by="you")
    scene.lift(halt, by="ben")
    scene.halt("run", "r", for_s=1)
    scene.move_clock(2)
    scene.worker.execute("select holdfast.expire_halts()")
    rows = scene.admin.execute(
        "select action, actor from holdfast.audit_log where action like 'halt.%' order by at"
    ).fetchall()
    assert rows == [
        ("halt.declared", "me"),
        ("halt.declared_again", "you"),
        ("halt.lifted", "ben"),
        ("halt.declared", "me"),
        ("halt.expired", "expiry"),
    ]


def test_the_platform_halts_a_tenant_and_finds_what_it_has_halted(scene):
    halting = "select * from holdfast.halt_tenant(%s, gen_random_uuid(), 'why', 'olga', null)"
    [halted] = scene.call(scene.api, PLATFORM, halting, TENANT)
    assert halted.is_new
    assert scene.call(scene.api, PLATFORM, halting, uuid4())[0].halt is None, "there is no such tenant"
    everything = scene.halt("everything", tenant=PLATFORM, authority=4).halt
    scene.halt("task", "t")
    rows = scene.call(scene.api, PLATFORM, "select tenant, id from holdfast.platform_halts(null, 10)")
    assert rows == [(PLATFORM, everything), (TENANT, halted.halt)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.call(scene.api, TENANT, halting, TENANT)
    assert scene.lift(halted.halt) == "weak", "an administrator of the tenant sees it and cannot lift it"
    logged = "select count(*) from holdfast.audit_log where action = 'halt.declared' and target = %s"
    assert scene.one(logged, str(halted.halt)) == 2, "in the tenant's log and in the platform's"


def test_workers_hear_of_halts_and_say_what_they_have_under_way(scene):
    early = scene.register()
    late = scene.register()
    assert scene.watch(early) == []
    halt = scene.halt("task", "t").halt
    assert scene.watch(early) == [(TENANT, halt, "task", "t")]
    silent = "select worker, alive from holdfast.halt_workers(%s, %s) where not knows"
    assert scene.call(scene.api, TENANT, silent, TENANT, halt) == [(early, True), (late, True)]
    ack = {"tenant": TENANT, "halt": halt, "dispatched_s": 2.5, "cancelled_s": None, "finished_s": None}
    scene.watch(early, [ack | {"in_flight": [{"name": "pay"}]}])
    scene.watch(early, [ack | {"dispatched_s": 9, "finished_s": 0, "in_flight": []}])
    assert scene.call(scene.api, TENANT, silent, TENANT, halt) == [(late, True)]
    scene.move_clock(4000)
    assert scene.call(scene.api, TENANT, silent, TENANT, halt) == [(late, False)], "its lease has run out"
    assert scene.register() not in {row.worker for row in scene.call(scene.api, TENANT, silent, TENANT, halt)}
    [said] = scene.call(scene.api, TENANT, "select * from holdfast.halt_acks")
    assert (said.worker, said.pid, said.in_flight, said.cancelled_at) == (early, 1, "[]", None)
    assert said.dispatched_at < said.finished_at, "what was said before stays"


def test_what_no_intent_announces_is_asked_for(scene):
    [held] = scene.hold()
    sql = "select holdfast.is_held_back(%s, %s, %s)"

    def ask(*names):
        return scene.call(scene.worker, TENANT, sql, TENANT, held.run, json.dumps(names))[0][0]

    assert not ask("tool:refund")
    scene.halt("tool", "refund")
    assert (ask("tool:refund"), ask("tool:look")) == (True, False)
    scene.halt("task", "t")
    assert ask()


def test_a_halt_waits_for_appends_under_way(scene):
    [held] = scene.hold()
    with scene.worker.transaction():
        assert outcomes(scene.worker, Member(held, intent=True)) == ["appended"]
        halting = Aside(lambda: scene.halt("tenant"))
        scene.until_waiting(scene.api)
        assert not halting.done
    assert halting.result().is_new
    assert outcomes(scene.worker, Member(held, intent=True)) == ["halted"]


def test_an_append_that_waited_for_the_halt_sees_it(scene):
    """It began before the halt committed, and its snapshot must not be older than the lock."""
    [held] = scene.hold()
    with scene.api.transaction():
        scene.api.execute("select set_config('holdfast.tenant', %s, true)", [str(TENANT)])
        scene.api.execute(
            "select holdfast.declare_halt(%s, gen_random_uuid(), 'tenant', '', 'why', 'me', 3, null)", [TENANT]
        )
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


def test_a_stream_of_appends_does_not_keep_a_halt_waiting(scene):
    """Each holds the lock shared, and there is never a moment without one that does. The lock is given in turn."""
    helds = scene.hold(16)
    stop = threading.Event()
    going = threading.Barrier(9)

    def write(mine):
        with scene.connect("holdfast_worker") as connection:
            going.wait(60)
            while not stop.is_set():
                assert set(outcomes(connection, *(Member(h) for h in mine))) == {"appended"}

    writers = [Aside(lambda mine=helds[2 * n : 2 * n + 2]: write(mine)) for n in range(8)]
    going.wait(60)
    scene.api.execute("set statement_timeout = '20s'")  # a bound for what must not hang, not a measurement
    for number in range(20):
        assert scene.lift(scene.halt("task", f"other{number}").halt) == "lifted"
    stop.set()
    for writer in writers:
        writer.result()


def test_a_tenant_halts_only_itself(scene):
    sql = "select holdfast.declare_halt(%s, gen_random_uuid(), 'tenant', '', 'w', 'm', 3, null)"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.call(scene.api, TENANT, sql, uuid4())


def test_a_worker_does_not_halt(scene):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scene.halt("tenant", connection=scene.worker)
