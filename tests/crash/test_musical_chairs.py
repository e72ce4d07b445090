"""No local state: every step of a run is forced onto another process, and nothing shows."""

import asyncio

import pytest
from crash_scene import Run, Scene
from judging import journal_of, judge, loaded

from holdfast.domain import events as ev

CHAIRS = 3
LEAVE = "model.answered:1=leave,outcome.after:1=leave"
"""A worker that has done one step gets SIGTERM, as in a deploy."""


@pytest.mark.timeout(175)
@pytest.mark.parametrize("scenario", ["sequential", "stream", "delegate", "retry"])
async def test_every_step_in_another_process(scene: Scene, peace, scenario: str):
    peaceful = await peace(scenario)
    run = await scene.start(scenario)
    music = asyncio.create_task(_play(scene, scenario))
    try:
        await scene.until_final([run])
    finally:
        music.cancel()
        await asyncio.gather(music, return_exceptions=True)
    found = await judge(scene, run, peaceful)
    assert found.is_clean, found.wrong
    assert found.in_doubt == 0
    assert scene.row(run)["claims"] <= 1  # a deploy is no failed attempt
    steps, processes = _chairs(scene, run)
    print(f"\n{scenario}: {steps} steps in {processes} processes")
    # A tool that must not be cut off is waited for, so the answer that called it and its outcome may share a process.
    waited_for = sum(isinstance(event, ev.ToolStarted) and not event.recovery.reruns for event in _events(scene, run))
    assert processes >= steps - waited_for - _parallel_steps(scene, run)


async def _play(scene: Scene, scenario: str) -> None:
    """A few workers wait; each leaves after one step and another sits down."""
    while True:
        alive = [worker for worker in scene.workers if worker.is_alive]
        for _ in range(CHAIRS - len(alive)):
            await scene.worker(scenario, slots=1, crash=LEAVE)
        await asyncio.sleep(0.05)


def _events(scene: Scene, run: Run) -> list[ev.AnyEvent]:
    return loaded(journal_of(scene, run.id))


def _chairs(scene: Scene, run: Run) -> tuple[int, int]:
    """Finished steps, and processes that finished one."""
    steps, holders, holder = 0, set[str](), ""
    for event in _events(scene, run):
        if isinstance(event, ev.RunClaimed):
            holder = str(event.worker)
        if isinstance(event, ev.ModelResponded | ev.ToolFinished):
            steps += 1
            holders.add(holder)
    return steps, len(holders)


def _parallel_steps(scene: Scene, run: Run) -> int:
    """Calls beside a first one in the same response: they run together, in one process. Delegates count twice."""
    beside = sum(max(0, len(event.calls) - 1) for event in _events(scene, run) if isinstance(event, ev.ModelResponded))
    return beside + sum(
        isinstance(event, ev.ToolFinished) and event.tool == "ask_helper" for event in _events(scene, run)
    )
