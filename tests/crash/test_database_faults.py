"""The database goes away in the middle of everything: restarted, or cut off before and after COMMIT reaches it."""

import asyncio
import itertools
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from crash_app import SCENARIOS
from crash_scene import FINAL, Run, Scene
from judging import Findings, judge, undisturbed
from private_database import PrivateDatabase, serving

from support.proxy import Proxy

LEASE = {"lease_s": 4, "tick_s": 0.2, "poll_s": 0.3, "slots": 8}
STATEMENTS = ("append", "append", "claim_runs", "append", "renew_lease", "append", "tick")
"""What is cut, one after another, on its way to the server and on its way back. Mostly commits of steps."""


@pytest.fixture
def private_database() -> Iterator[PrivateDatabase]:
    with serving({"shared_buffers": "32MB"}) as database:
        yield database


@pytest.mark.timeout(175)
async def test_the_server_is_killed_in_the_middle_of_everything(open_scene, private_database: PrivateDatabase):
    await restarted(open_scene, private_database, (signal.SIGKILL, signal.SIGQUIT, signal.SIGINT), rounds=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_the_server_is_killed_again_and_again(open_scene, private_database: PrivateDatabase):
    await restarted(open_scene, private_database, (signal.SIGKILL, signal.SIGQUIT, signal.SIGINT), rounds=10)


async def restarted(open_scene, database: PrivateDatabase, numbers: tuple[int, ...], rounds: int) -> None:
    """Each restart falls among runs of every scenario, on two workers that live through it."""
    found, restarts = Findings(), 0
    async with open_scene(database) as scene:
        peaceful = {scenario: await undisturbed(scene, scenario) for scenario in SCENARIOS}
        for _ in range(2):
            await scene.worker(*SCENARIOS, **LEASE)
        for number in numbers * rounds:
            runs = [await scene.start(scenario) for scenario in SCENARIOS]
            await scene.until(lambda runs=runs: _events(scene, runs) > 5 * len(SCENARIOS), "all are under way")
            before = database.kill(number)
            restarts += 1
            await scene.until(lambda before=before: database.is_back(before), "the server is back", attend=False)
            await scene.until_final(runs)
            await _judged(scene, runs, peaceful, found)
    print(
        f"\ndatabase restarts: {restarts}, runs {found.runs}, lost {found.lost}, repeated {found.repeated}, "
        f"duplicated {found.duplicated}, in doubt {found.in_doubt}"
    )
    assert found.is_clean, "\n".join(found.wrong)


@pytest.mark.timeout(175)
async def test_connections_are_cut_before_and_after_the_commit(open_scene, database: Any, peace):
    await cut(open_scene, database, peace, cuts=24)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_connections_are_cut_again_and_again(open_scene, database: Any, peace):
    await cut(open_scene, database, peace, cuts=1000)


async def cut(open_scene, database: Any, peace, cuts: int) -> None:
    """One worker behind a proxy that cuts statement after statement; runs of every scenario keep it busy."""
    peaceful = {scenario: await peace(scenario) for scenario in SCENARIOS}
    found = Findings()
    async with Proxy(database.worker_url) as proxy, open_scene(database, proxy.url) as scene:
        # Without prepared statements each one travels with its text, by which the proxy knows it.
        await scene.worker(*SCENARIOS, prepared_statements=False, **LEASE)
        cutting = asyncio.create_task(_cutting(proxy, cuts))
        try:
            while not cutting.done():
                runs = [await scene.start(scenario) for scenario in SCENARIOS]
                await scene.until_final(runs)
                await _judged(scene, runs, peaceful, found)
            await cutting
        finally:
            cutting.cancel()
    print(
        f"\nconnections cut: {cuts}, runs {found.runs}, lost {found.lost}, repeated {found.repeated}, "
        f"duplicated {found.duplicated}, in doubt {found.in_doubt}"
    )
    assert proxy.cuts.value >= cuts
    assert found.is_clean, "\n".join(found.wrong)


async def _cutting(proxy: Proxy, cuts: int) -> None:
    for number, statement in zip(range(1, cuts + 1), itertools.cycle(STATEMENTS), strict=False):
        arm = proxy.cut_request if number % 2 else proxy.cut_reply
        arm(f"holdfast.{statement}(".encode())
        await proxy.cuts.wait(number, timeout_s=120)


def _events(scene: Scene, runs: list[Run]) -> int:
    return sum(len(scene.onlooker.seen[run.id]) for run in runs)


async def _judged(scene: Scene, runs: list[Run], peaceful: dict, found: Findings) -> None:
    assert all(row["state"] in FINAL for row in scene.rows(runs).values())
    scene.onlooker.look(())
    for run in runs:
        found.add(await judge(scene, run, peaceful[run.scenario]))
        scene.onlooker.forget(run.id)
