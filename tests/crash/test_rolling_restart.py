"""Two code versions side by side, and deploys in the middle: each run goes on with its own code, none is stranded."""

import signal
from dataclasses import replace

from crash_app import app_of
from crash_scene import Run, Scene
from nursery import Worker


async def start(scene: Scene, version: str, task: str = "slow") -> Run:
    """A run of this code version."""
    of_version = replace(scene, services=replace(scene.services, app=app_of([task], version)))
    return await of_version.start(task)


def processes(scene: Scene, run: Run) -> set[int]:
    return {line["pid"] for line in scene.ledger.of(run.id)}


async def has_begun(scene: Scene, *runs: Run) -> None:
    await scene.until(lambda: all(scene.ledger.of(run.id) for run in runs), "the slow tool is under way")


async def test_each_run_is_finished_by_its_own_version(scene: Scene):
    first, second = await scene.worker("slow", version="1"), await scene.worker("slow", version="2")
    runs = [await start(scene, version) for version in ("1", "2", "1", "2")]
    await has_begun(scene, *runs)
    scene.open_gate()
    await scene.until_final(runs)
    assert [processes(scene, run) for run in runs] == [{first.pid}, {second.pid}] * 2
    assert {row["state"] for row in scene.rows(runs).values()} == {"succeeded"}


async def test_a_run_of_a_version_nobody_has_waits_for_it(scene: Scene):
    scene.open_gate()
    await scene.worker("slow", version="1")
    orphan, other = await start(scene, "3"), await start(scene, "1")
    await scene.until_row(other, state="succeeded")
    await scene.until_row(orphan, state="parked", waiting_on="code")
    third = await scene.worker("slow", version="3")
    await scene.until_row(orphan, state="succeeded")
    assert processes(scene, orphan) == {third.pid}


async def test_sigterm_in_the_middle_strands_nothing(scene: Scene):
    """Version 1 is replaced by version 2 while runs of 1 are under way; then somebody starts a 1 again."""
    olds = [await scene.worker("slow", version="1") for _ in range(2)]
    await scene.until(lambda: all(old.log("worker.started") for old in olds), "both take signals")
    runs_1 = [await start(scene, "1") for _ in range(4)]
    await has_begun(scene, *runs_1)
    new = await scene.worker("slow", version="2")
    for old in olds:
        old.signal(signal.SIGTERM)
    assert [await old.gone() for old in olds] == [0, 0]
    run_2 = await start(scene, "2")
    scene.open_gate()
    await scene.until_row(run_2, state="succeeded")
    for run in runs_1:
        row = await scene.until_row(run, state="parked", waiting_on="code")
        assert row["claims"] == 0  # a deploy is no failed attempt
    last = await scene.worker("slow", version="1")
    await scene.until_final(runs_1)
    for run in runs_1:
        assert ended_by(scene, run) == {last.pid}
        assert scene.row(run)["state"] == "succeeded"
    assert processes(scene, run_2) == {new.pid}


async def test_mastra_19056_runs_under_way_are_recovered_after_a_deploy(scene: Scene):
    """The old containers are gone without a word; the new ones take over what was running."""
    olds: list[Worker] = [await scene.worker("slow", lease_s=1) for _ in range(2)]
    runs = [await scene.start("slow") for _ in range(5)]
    await has_begun(scene, *runs)
    for old in olds:
        await old.kill()
    new = await scene.worker("slow")
    scene.open_gate()
    await scene.until_final(runs)
    for run in runs:
        assert scene.row(run)["state"] == "succeeded"
        assert ended_by(scene, run) == {new.pid}
        assert len({line["key"] for line in scene.ledger.of(run.id) if line["tool"] == "slow"}) == 1


def ended_by(scene: Scene, run: Run) -> set[int]:
    return {line["pid"] for line in scene.ledger.of(run.id) if line["tool"] == "slow-ended"}
