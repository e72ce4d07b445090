"""Leases: one row per worker, by the database's clock."""

from uuid import uuid4


def kinds(rows):
    return {(row.kind, row.run) for row in rows if row.kind}


def test_a_renewal_holds_by_the_databases_clock(scene):
    worker = scene.register(lease_s=10)
    for _ in range(3):
        scene.move_clock(9)
        assert scene.renew(worker, [])[0].ok
    scene.move_clock(10.5)
    assert [row.ok for row in scene.renew(worker, [])] == [False]
    assert not scene.renew(worker, [])[0].ok, "an expired lease is never renewed"


def test_an_unknown_worker_has_no_lease(scene):
    assert [row.ok for row in scene.renew(uuid4(), [])] == [False]


def test_registering_twice_does_not_revive(scene):
    worker = scene.register(lease_s=10)
    scene.move_clock(11)
    scene.worker.execute("select holdfast.register_worker(%s, 'h', 1, '{}', 10)", [worker])
    assert not scene.renew(worker, [])[0].ok


def test_a_renewal_tells_of_signals_strays_and_losses(scene):
    worker = scene.register()
    quiet, told, dropped = scene.hold(3, worker=worker)
    scene.signal(told.run, "cancel")
    gone = uuid4()
    rows = scene.renew(worker, [quiet.run, told.run, gone])
    assert rows[0].ok
    assert kinds(rows) == {("attention", told.run), ("stray", dropped.run), ("lost", gone)}
    [attention] = [row for row in rows if row.kind == "attention"]
    assert (attention.tenant, attention.inbox_seq, attention.cancelling) == (told.tenant, 1, True)


def test_a_renewal_is_not_delayed_by_rows_of_runs(scene):
    worker = scene.register()
    [held] = scene.hold(worker=worker)
    scene.worker.execute("set statement_timeout = '10s'")
    with scene.locked("runs", "id = %s", held.run):
        assert scene.renew(worker, [held.run])[0].ok


def test_leaving_hands_over_everything_at_once(scene):
    worker = scene.register()
    helds = scene.hold(3, worker=worker)
    assert scene.worker.execute("select holdfast.leave(%s)", [worker]).fetchone() == (3,)
    for held in helds:
        row = scene.row(held.run)
        assert (row["state"], row["claims"]) == ("queued", 0)
    assert not scene.renew(worker, [])[0].ok
    assert scene.worker.execute("select holdfast.leave(%s)", [worker]).fetchone() == (0,)
