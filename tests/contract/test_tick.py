"""The tick: what time alone brings about, by the database's clock, which tests move as the owner."""

from datetime import timedelta

from support.store_scene import PARK, Aside, Member, outcomes


def parked(scene, **next_):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, next={**PARK, **next_})) == ["appended"]
    return held


def test_runs_of_an_expired_worker_are_queued_again(scene):
    dies, lives = scene.register(lease_s=10), scene.register()
    [lost] = scene.hold(worker=dies)
    [kept] = scene.hold(worker=lives)
    assert scene.tick() == {}
    scene.move_clock(11)
    assert scene.tick() == {"rescued": 1}
    assert (scene.row(lost.run)["state"], scene.row(lost.run)["worker"]) == ("queued", None)
    assert scene.row(kept.run)["worker"] == lives
    assert scene.tick() == {}


def test_runs_of_a_worker_that_nobody_knows_are_queued_again(scene):
    worker = scene.register()
    scene.hold(2, worker=worker)
    scene.admin.execute("delete from holdfast.workers")
    assert scene.tick() == {"rescued": 2}


def test_the_third_claim_without_an_outcome_is_quarantine(scene):
    run = scene.accept()
    for claims in (1, 2, 3):
        [claimed] = scene.claim(scene.register(lease_s=10))
        assert claimed.claims == claims
        scene.move_clock(11)
        assert scene.tick() == ({"quarantined": 1} if claims == 3 else {"rescued": 1})
    row = scene.row(run)
    assert (row["state"], row["waiting_on"], row["claims"]) == ("parked", "quarantine", 3)
    assert scene.signal(run).outcome == "delivered"
    assert scene.row(run)["state"] == "queued"


def test_an_outcome_starts_the_count_anew(scene):
    for _ in range(4):
        worker = scene.register(lease_s=10)
        [held] = scene.hold(worker=worker) if _ == 0 else [_held(row, worker) for row in scene.claim(worker)]
        assert outcomes(scene.worker, Member(held, progress=True)) == ["appended"]
        scene.move_clock(11)
        assert scene.tick() == {"rescued": 1}


def _held(row, worker):
    from support.store_scene import Held

    return Held(row.tenant, row.id, worker, row.epoch, row.seq, row.head)


def test_a_run_to_be_cancelled_is_not_quarantined(scene):
    run = scene.accept()
    scene.signal(run, "cancel")
    for _ in range(4):
        assert len(scene.claim(scene.register(lease_s=10))) == 1
        scene.move_clock(11)
        assert scene.tick() == {"rescued": 1}


def test_a_worker_that_is_renewing_at_this_moment_is_not_dead(scene):
    worker = scene.register(lease_s=10)
    [held] = scene.hold(worker=worker)
    scene.move_clock(11)
    with scene.locked("workers", "id = %s", worker):
        assert scene.tick() == {}
    assert scene.row(held.run)["worker"] == worker
    assert scene.tick() == {"rescued": 1}


def test_timers_wake_by_the_databases_clock(scene):
    now = scene.one("select holdfast.now()")
    early = parked(scene, waiting_on="timer", wake_at=now + timedelta(seconds=100))
    late = parked(scene, waiting_on="timer", wake_at=now + timedelta(seconds=10_000))
    assert scene.tick() == {}
    scene.move_clock(101)
    assert scene.tick() == {"woken": 1}
    row = scene.row(early.run)
    assert (row["state"], row["waiting_on"], row["wake_at"]) == ("queued", None, None)
    assert scene.row(late.run)["state"] == "parked"


def test_a_version_nobody_serves_is_parked_while_another_is_served(scene):
    run = scene.accept(version="1")
    assert scene.tick() == {}, "no worker is up at all: they may be about to start"
    scene.register(t=["2"])
    assert scene.tick() == {"parked": 1}
    assert (scene.row(run)["state"], scene.row(run)["waiting_on"]) == ("parked", "code")
    assert scene.tick() == {}
    scene.register(t=["1", "2"])
    assert scene.tick() == {"unparked": 1}
    assert (scene.row(run)["state"], scene.row(run)["unserved"]) == ("queued", False)


def test_another_tasks_workers_say_nothing_about_a_version(scene):
    run = scene.accept()
    scene.register(other=["1"])
    assert scene.tick() == {}
    assert scene.row(run)["state"] == "queued"


def test_what_a_divergence_parked_stays_parked(scene):
    diverged = parked(scene, waiting_on="code")
    scene.register(t=["1"])
    assert scene.tick() == {}
    assert scene.row(diverged.run)["state"] == "parked"


def test_a_signal_to_a_run_whose_version_is_gone_is_kept(scene):
    run = scene.accept(version="1")
    scene.register(t=["2"])
    scene.tick()
    scene.signal(run)
    assert scene.row(run)["state"] == "queued"
    assert scene.tick() == {"parked": 1}
    assert scene.row(run)["inbox_seq"] == 1


def test_another_history_marks_every_unfinished_run(scene):
    [ended] = scene.hold()
    assert outcomes(scene.worker, Member(ended, next={"state": "succeeded"})) == ["appended"]
    waiting = parked(scene)
    [running] = scene.hold()
    queued = scene.accept()
    assert scene.tick() == {}
    with scene.database.as_owner() as owner:
        owner.execute("update holdfast.timeline set timeline = timeline + 1")
    assert scene.tick() == {"rewound": 3}
    assert scene.tick() == {}
    assert [scene.row(run)["rewound"] for run in (waiting.run, running.run, queued, ended.run)] == [
        True,
        True,
        True,
        False,
    ]


def test_the_history_is_the_servers_own(scene):
    said = scene.admin.execute("select system_identifier, timeline from holdfast.timeline").fetchone()
    assert (
        said
        == scene.admin.execute(
            "select system_identifier, timeline_id from pg_control_system(), pg_control_checkpoint()"
        ).fetchone()
    )


def test_a_limit_is_kept_and_the_rest_comes_next(scene):
    worker = scene.register(lease_s=10)
    scene.hold(5, worker=worker)
    scene.move_clock(11)
    assert [scene.tick(2) for _ in range(4)] == [{"rescued": 2}, {"rescued": 2}, {"rescued": 1}, {}]


def test_many_may_tick_at_once(scene):
    worker = scene.register(lease_s=10)
    scene.hold(30, worker=worker)
    scene.move_clock(11)

    def tick():
        with scene.connect("holdfast_worker") as connection:
            return scene.tick(connection=connection).get("rescued", 0)

    total = sum(job.result() for job in [Aside(tick) for _ in range(4)])
    assert total + scene.tick().get("rescued", 0) == 30


def test_workers_long_dead_are_forgotten(scene):
    scene.register(lease_s=10)
    scene.move_clock(700)
    scene.tick()
    assert scene.one("select count(*) from holdfast.workers") == 0
