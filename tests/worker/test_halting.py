"""Halts and real worker processes: what is under way stops or finishes, it is told, and goes on when lifted."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

from worker_scene import Scene, until

from holdfast.domain.errors import DatabaseUnavailable
from holdfast.domain.halts import HaltScope
from holdfast.service import halts
from holdfast.service.halt_views import HaltReport
from holdfast.service.services import LOCAL

RUN, TASK, TOOL, TENANT = HaltScope.RUN, HaltScope.TASK, HaltScope.TOOL, HaltScope.TENANT


async def halt(scene: Scene, scope: HaltScope, key: object = "", **more: Any) -> HaltReport:
    report, is_new = await halts.declare_halt(scene.services, LOCAL, scope, str(key), reason="test", **more)
    assert is_new
    return report


async def reported(scene: Scene, report: HaltReport, met: Any, what: str) -> HaltReport:
    """The report of a halt, once it says so."""
    async with asyncio.timeout(60):
        while not met(found := await halts.get_halt(scene.services, LOCAL, report.id)):
            await asyncio.sleep(0.05)
    return found


async def settled(scene: Scene, report: HaltReport) -> HaltReport:
    return await reported(scene, report, lambda found: found.settled, "settled")


async def wait(scene: Scene, *arguments: Any, **fields: Any) -> Any:
    return await asyncio.to_thread(scene.wait_row, *arguments, **fields)


async def test_a_run_is_stopped_and_goes_on_when_the_halt_is_lifted(scene: Scene):
    scene.worker("one")
    run, other = await scene.start("hold"), await scene.start("hold")
    for one in (run, other):
        await asyncio.to_thread(scene.wait_did, "hold-began", one)
    report = await settled(scene, await halt(scene, RUN, run))
    await wait(scene, run, state="parked", waiting_on="halt")
    assert (report.workers, report.silent, report.in_flight) == (1, [], [])
    assert report.last_dispatch_at is not None
    assert report.last_dispatch_at < report.at
    assert report.last_cancelled_at is not None
    assert scene.row(other)["state"] == "running"
    scene.open_gate()
    await wait(scene, other, state="succeeded")
    assert scene.row(run)["state"] == "parked"
    await halts.lift_halt(scene.services, LOCAL, report.id)
    await wait(scene, run, state="succeeded")
    assert len(scene.did("hold-began", run)) == 2, "it may run again, and had to"


async def test_an_effect_that_may_not_run_again_is_named_until_it_has_finished(scene: Scene):
    scene.worker("one")
    run = await scene.start("pay")
    await asyncio.to_thread(scene.wait_did, "pay-began", run)
    declared = await halt(scene, TASK, "pay")
    report = await reported(scene, declared, lambda found: found.in_flight, "named")
    [step] = report.in_flight
    assert (step.run, step.what, step.name, step.recovery, step.thread) == (run, "tool", "pay", "once", False)
    assert not report.settled
    scene.open_gate()
    report = await settled(scene, declared)
    assert report.last_effect_at is not None
    assert report.last_effect_at > report.at
    await wait(scene, run, state="parked", waiting_on="halt")
    assert "tool_finished" in scene.events(run)
    await halts.lift_halt(scene.services, LOCAL, declared.id)
    await wait(scene, run, state="succeeded")
    assert len(scene.did("pay-began", run)) == 1


async def test_an_effect_that_outlasts_the_grace_is_in_doubt(scene: Scene):
    scene.worker("one", grace_s=0.1)
    run = await scene.start("pay")
    await asyncio.to_thread(scene.wait_did, "pay-began", run)
    await settled(scene, await halt(scene, TOOL, "pay"))
    await wait(scene, run, state="parked", waiting_on="in_doubt")


async def test_a_tool_that_blocks_the_event_loop_is_named_all_the_same(scene: Scene):
    scene.worker("one", blocked_warn_s=0.3)
    run = await scene.start("block")
    await asyncio.to_thread(scene.wait_did, "block-began", run)
    declared = await halt(scene, TENANT)
    report = await reported(scene, declared, lambda found: found.in_flight, "named")
    assert [step.name for step in report.in_flight] == ["block"]
    scene.open_gate()
    await settled(scene, declared)
    await wait(scene, run, state="parked", waiting_on="halt")


async def test_a_stopped_worker_is_missed_and_begins_nothing_when_it_wakes(scene: Scene):
    one, two = scene.worker("one"), scene.worker("two")
    run = await scene.start("hold")
    [pid] = await asyncio.to_thread(scene.wait_did, "hold-began", run)
    holder = next(process for process in (one, two) if process.pid == pid)
    holder.signal(signal.SIGSTOP)
    declared = await halt(scene, TENANT)
    report = await reported(scene, declared, lambda found: found.workers == 1, "the other knows")
    assert [(missed.pid, missed.alive) for missed in report.silent] == [(pid, True)]
    assert not report.settled
    scene.open_gate()
    holder.signal(signal.SIGCONT)
    await settled(scene, declared)
    await wait(scene, run, state="parked", waiting_on="halt")
    assert scene.did("note", run) == []


async def test_lost_hints_and_lost_connections_only_make_it_later(scene: Scene, monkeypatch: Any):
    monkeypatch.setattr(scene.services.hints, "notify", lambda payload: None)
    scene.worker("one")
    run = await scene.start("hold")
    await asyncio.to_thread(scene.wait_did, "hold-began", run)
    scene.connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and usename = 'holdfast_worker'"
    )
    declared = await halt(scene, TENANT)
    await settled(scene, declared)
    await wait(scene, run, state="parked", waiting_on="halt")
    scene.open_gate()
    await halts.lift_halt(scene.services, LOCAL, declared.id)
    await wait(scene, run, state="succeeded")


async def test_a_halt_outlives_the_server_and_is_declared_while_it_comes_back(private_scene: Scene):
    """The server is killed under a halt, and as one is declared: what a halt covers is not begun."""
    scene = private_scene
    scene.worker("one", lease_s=2)
    run, other = await scene.start("hold"), await scene.start("pay")
    for what, one in (("hold-began", run), ("pay-began", other)):
        await asyncio.to_thread(scene.wait_did, what, one)
    declared = await halt(scene, RUN, run)
    await wait(scene, run, state="parked", waiting_on="halt")

    await asyncio.to_thread(scene.restart_database)
    assert (await halts.get_halt(scene.services, LOCAL, declared.id)).lifted_at is None
    killed = await asyncio.to_thread(scene.database.kill, signal.SIGKILL)
    everything = None
    while everything is None:  # a machine that is busy may take longer to be back than a caller waits
        with suppress(DatabaseUnavailable):
            everything, _ = await halts.declare_halt(scene.services, LOCAL, TENANT, "", reason="test")
    await asyncio.to_thread(scene.until_database_is_back, killed)
    scene.open_gate()
    later = await scene.start("hold")
    await wait(scene, later, state="parked", waiting_on="halt")
    assert scene.did("hold-began", later) == []
    assert scene.row(run)["state"] == "parked"

    for report in (everything, declared):
        await halts.lift_halt(scene.services, LOCAL, report.id)
    for one in (run, later):
        await wait(scene, one, state="succeeded")
    assert len(scene.did("hold-began", run)) == 2
    assert len(scene.did("pay-began", other)) == 1


async def test_a_halt_that_runs_out_lets_go_by_itself(scene: Scene):
    scene.worker("one")
    run = await scene.start("hold")
    await asyncio.to_thread(scene.wait_did, "hold-began", run)
    scene.open_gate()
    waiting = await scene.start("one-slot")
    await halt(scene, TENANT, for_s=0.05)
    for one in (run, waiting):
        await wait(scene, one, state="succeeded")
    until(lambda: scene.connection.execute("select lifted_by from holdfast.halts").fetchone(), "ended")
    assert os.getpid() not in scene.did("note", run)
