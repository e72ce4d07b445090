"""What happens to runs when workers die, stop, block, or are deployed anew: real processes, real kills."""

import signal
from datetime import timedelta

from worker_scene import Scene, until

A_LONG_LEASE = {"lease_s": 3600, "grace_s": 3600}
"""What happens then does not happen because time runs out."""
A_SHORT_LEASE = {"lease_s": 2}


async def test_a_run_is_executed(scene: Scene):
    worker = scene.worker("a")
    run = await scene.start("quick")
    scene.wait_row(run, state="succeeded")
    assert scene.did("note", run) == [worker.pid]


async def test_kill_9_and_another_goes_on(scene: Scene):
    first = scene.worker("a", **A_SHORT_LEASE)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    second = scene.worker("b", **A_SHORT_LEASE)
    first.kill()
    scene.wait_row(run, epoch=2)
    scene.open_gate()
    row = scene.wait_row(run, state="succeeded")
    assert row["epoch"] == 2
    assert scene.did("hold-ended", run) == scene.did("note", run) == [second.pid]


async def test_sigterm_hands_over_at_once_and_is_no_failed_attempt(scene: Scene):
    first = scene.worker("a", **A_LONG_LEASE)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    second = scene.worker("b", **A_LONG_LEASE)
    first.signal(signal.SIGTERM)
    row = scene.wait_row(run, state="running", epoch=2)
    assert row["claims"] == 1
    assert first.ended() == 0, first.text()
    scene.open_gate()
    scene.wait_row(run, state="succeeded")
    assert scene.did("hold-began", run) == [first.pid, second.pid]
    assert scene.did("hold-ended", run) == [second.pid]


async def test_a_drain_waits_for_a_tool_that_must_not_run_again(scene: Scene):
    first = scene.worker("a", **A_LONG_LEASE)
    run = await scene.start("pay")
    scene.wait_did("pay-began", run)
    second = scene.worker("b", **A_LONG_LEASE)
    first.signal(signal.SIGTERM)
    first.wait_log("worker.draining")
    assert scene.row(run)["epoch"] == 1
    scene.open_gate()
    scene.wait_row(run, state="succeeded")
    assert first.ended() == 0, first.text()
    assert scene.did("pay-began", run) == scene.did("pay-ended", run) == [first.pid]
    assert scene.did("note", run) in ([first.pid], [second.pid])


async def test_past_its_grace_a_drain_gives_back_what_is_left(scene: Scene):
    first = scene.worker("a", **A_LONG_LEASE | {"grace_s": 0.2})
    run = await scene.start("pay")
    scene.wait_did("pay-began", run)
    first.signal(signal.SIGTERM)
    assert first.ended() == 0, first.text()
    scene.wait_row(run, state="queued", worker=None)
    scene.worker("b", **A_LONG_LEASE)
    scene.wait_row(run, state="parked", waiting_on="in_doubt")


async def test_a_second_signal_ends_at_once(scene: Scene):
    first = scene.worker("a", **A_LONG_LEASE)
    run = await scene.start("pay")
    scene.wait_did("pay-began", run)
    first.signal(signal.SIGTERM)
    first.wait_log("worker.draining")
    first.signal(signal.SIGTERM)
    first.ended()
    assert scene.wait_row(run, state="queued", worker=None)["claims"] == 0
    assert scene.connection.execute("select from holdfast.workers").fetchall() == []


async def test_a_second_signal_ends_a_worker_whose_loop_is_blocked(scene: Scene):
    first = scene.worker("a", **A_LONG_LEASE)
    run = await scene.start("block")
    scene.wait_did("block-began", run)
    first.wait_log("loop.blocked", tool="block")
    first.signal(signal.SIGTERM)
    first.signal(signal.SIGINT)
    assert first.ended() != 0
    scene.wait_row(run, state="queued", worker=None)


async def test_the_lease_is_renewed_while_a_tool_blocks_the_loop_and_the_tool_is_named(scene: Scene):
    worker = scene.worker("a", **A_SHORT_LEASE)
    run = await scene.start("block")
    scene.wait_did("block-began", run)
    row = scene.wait_row(run, state="running")
    began = scene.lease_until(row["worker"])
    until(
        lambda: scene.lease_until(row["worker"]) > began + timedelta(seconds=2),
        "the lease renewed for longer than it lasts",
    )
    # A loaded machine may block the loop at other times too.
    warning = worker.wait_log("loop.blocked", tool="block")
    scene.open_gate()
    row = scene.wait_row(run, state="succeeded")
    assert row["epoch"] == 1
    assert warning["tool"] == "block"
    assert "worker_app.py:" in warning["stuck_in"]
    assert scene.did("block-ended", run) == [worker.pid]


async def test_a_wedged_worker_loses_its_runs_and_another_finishes_them(scene: Scene):
    first = scene.worker("a", **A_SHORT_LEASE)
    run = await scene.start("wedge")
    scene.wait_did("block-began", run)
    second = scene.worker("b", **A_SHORT_LEASE)
    row = scene.wait_row(run, state="succeeded")
    assert row["epoch"] == 2
    assert scene.did("note", run) == [second.pid]
    assert first.wait_log("lease.left_to_expire")["tool"] == "block"
    scene.open_gate()
    first.wait_log("lease.lost")
    first.wait_log("worker.started", times=2)
    assert scene.row(run) == row


async def test_a_run_that_lost_its_lease_is_dropped_where_it_was(scene: Scene):
    """Fenced: somebody else's claim is seen at the next append, which changes nothing."""
    worker = scene.worker("a", **A_LONG_LEASE)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    scene.connection.execute("update holdfast.runs set epoch = epoch + 1 where id = %s", [run])
    before = scene.events(run)
    scene.open_gate()
    assert worker.wait_log("run.ended")["how"] == "lost"
    assert scene.events(run) == before
    assert scene.did("note", run) == []


async def test_absurd_a_step_longer_than_the_lease_is_executed_once(scene: Scene):
    first = scene.worker("a", lease_s=1)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    scene.worker("b", lease_s=1)
    row = scene.row(run)
    began = scene.lease_until(row["worker"])
    until(
        lambda: scene.lease_until(row["worker"]) > began + timedelta(seconds=3),
        "the lease renewed for three times as long as it lasts",
    )
    scene.open_gate()
    assert scene.wait_row(run, state="succeeded")["epoch"] == 1
    assert scene.did("hold-began", run) == [first.pid]


async def test_dbos_716_a_database_blip_during_recovery_strands_no_run(scene: Scene):
    first = scene.worker("a", **A_SHORT_LEASE)
    runs = [await scene.start("hold") for _ in range(3)]
    for run in runs:
        scene.wait_did("hold-began", run)
    second = scene.worker("b", **A_SHORT_LEASE)
    first.kill()
    with _database_away(scene):
        second.wait_log("lease.lost")
    second.wait_log("worker.started", times=2)
    scene.open_gate()
    for run in runs:
        scene.wait_row(run, state="succeeded")
        assert scene.did("note", run) == [second.pid]


async def test_a_run_outlives_a_database_that_is_away_for_longer_than_the_lease(scene: Scene):
    worker = scene.worker("a", **A_SHORT_LEASE)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    with _database_away(scene):
        worker.wait_log("lease.lost")
    worker.wait_log("worker.started", times=2)
    scene.open_gate()
    assert scene.wait_row(run, state="succeeded")["epoch"] == 2
    assert scene.did("note", run) == [worker.pid]


async def test_a_short_blip_costs_nothing(scene: Scene):
    worker = scene.worker("a", **A_LONG_LEASE)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    with _database_away(scene):
        worker.wait_log("database.unavailable")
    worker.wait_log("database.back")
    scene.open_gate()
    assert scene.wait_row(run, state="succeeded")["epoch"] == 1


class _database_away:  # noqa: N801 - reads as the condition it is
    """No login gets in, and those that were in are put out."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __enter__(self) -> None:
        self._limit(0)
        self._scene.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and usename = 'holdfast_worker'"
        )

    def __exit__(self, *_: object) -> None:
        self._limit(-1)

    def _limit(self, connections: int) -> None:
        name = self._scene.database.name
        self._scene.connection.execute(f"alter database {name} connection limit {connections}")


async def test_dbos_804_a_rolling_restart_strands_no_run(scene: Scene):
    a, b = scene.worker("a", **A_LONG_LEASE), scene.worker("b", **A_LONG_LEASE)
    runs = [await scene.start("hold") for _ in range(6)]
    for run in runs:
        scene.wait_did("hold-began", run)
    c = scene.worker("c", **A_LONG_LEASE)
    a.signal(signal.SIGTERM)
    assert a.ended() == 0, a.text()
    d = scene.worker("d", **A_LONG_LEASE)
    b.signal(signal.SIGTERM)
    assert b.ended() == 0, b.text()
    for run in runs:
        assert scene.wait_row(run, state="running")["claims"] == 1
    scene.open_gate()
    for run in runs:
        scene.wait_row(run, state="succeeded")
        assert len(scene.did("note", run)) == 1
        assert set(scene.did("note", run)) <= {c.pid, d.pid}


async def test_dbos_805_a_recovered_run_does_not_block_its_queue(scene: Scene):
    first = scene.worker("a", **A_SHORT_LEASE)
    recovered = await scene.start("one-slot")
    scene.wait_did("hold-began", recovered)
    first.kill()
    scene.worker("b", **A_SHORT_LEASE)
    scene.wait_row(recovered, epoch=2, state="running")
    waiting = await scene.start("one-slot")
    elsewhere = await scene.start("quick")
    scene.wait_row(elsewhere, state="succeeded")
    assert scene.row(waiting)["state"] == "queued"
    scene.open_gate()
    scene.wait_row(recovered, state="succeeded")
    scene.wait_row(waiting, state="succeeded")


async def test_dbos_742_a_worker_that_was_away_never_executes_what_it_no_longer_owns(scene: Scene):
    first = scene.worker("a", **A_SHORT_LEASE)
    run = await scene.start("hold")
    scene.wait_did("hold-began", run)
    second = scene.worker("b", **A_SHORT_LEASE)
    first.signal(signal.SIGSTOP)
    scene.wait_row(run, epoch=2, state="running")
    scene.open_gate()
    row = scene.wait_row(run, state="succeeded")
    events = scene.events(run)
    first.signal(signal.SIGCONT)
    first.wait_log("lease.lost")
    first.wait_log("worker.started", times=2)
    again = await scene.start("quick")
    scene.wait_row(again, state="succeeded")
    assert (scene.row(run), scene.events(run)) == (row, events)
    assert scene.did("note", run) == [second.pid]


async def test_a_run_of_a_version_nobody_serves_is_not_claimed(scene: Scene):
    scene.worker("a")
    run = await scene.start("quick")
    scene.wait_row(run, state="succeeded")
    other = await scene.start("quick", version="2")
    scene.wait_row(other, state="parked", waiting_on="code")
