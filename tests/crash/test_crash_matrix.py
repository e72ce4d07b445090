"""A worker killed at every point of the pipeline, before and after commits: whoever comes next goes on exactly there.

`make test` takes the first, a middle and the last passing of each point in each scenario; `make test-long` every one.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from crash_app import SCENARIOS
from crash_scene import FINAL, LANES, Run, Scene
from judging import Findings, Undisturbed, judge
from nursery import Worker

from holdfast.testing import POINTS

OWN_POINTS = ("effect.done", "stream.event")


@dataclass(frozen=True)
class Case:
    """Kill the worker of this scenario when it passes the point for the nth time."""

    point: str
    nth: int

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}"


def first_middle_last(count: int) -> list[int]:
    return sorted({1, math.ceil(count / 2), count})


def every(count: int) -> list[int]:
    return list(range(1, count + 1))


def cases(peaceful: Undisturbed, choose: Callable[[int], list[int]]) -> Iterator[Case]:
    for point, count in peaceful.points.items():
        for nth in choose(count):
            yield Case(point, nth)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_at_every_point(scene: Scene, peace, scenario: str):
    found = await killed(scene, scenario, await peace(scenario), first_middle_last)
    assert found.is_clean, "\n".join(found.wrong)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_at_every_point_every_time(scene: Scene, peace, scenario: str):
    found = await killed(scene, scenario, await peace(scenario), every)
    assert found.is_clean, "\n".join(found.wrong)


async def test_the_scenarios_pass_every_point(scene: Scene, peace):
    passed = {point for scenario in SCENARIOS for point in (await peace(scenario)).points}
    assert passed == {*POINTS, *OWN_POINTS}


async def killed(scene: Scene, scenario: str, peaceful: Undisturbed, choose: Callable[[int], list[int]]) -> Findings:
    """Kill a worker in each chosen case, let another one finish, and judge."""
    chosen = list(cases(peaceful, choose))
    found, kills = Findings(), 0
    for at in range(0, len(chosen), LANES):
        batch = Batch(scene, scenario, chosen[at : at + LANES])
        found.add(await batch.play(peaceful))
        kills += batch.kills
    print(
        f"\n{scenario}: kills {kills} of {len(chosen)} planned, lost {found.lost}, repeated {found.repeated}, "
        f"duplicated {found.duplicated}, in doubt {found.in_doubt}"
    )
    # Calls that end together share a commit, or not: the last passings of a parallel run are not always reached.
    assert kills >= 0.8 * len(chosen)
    return found


class Batch:
    """As many cases at once as there are lanes, each with a task of its own that its worker alone serves."""

    def __init__(self, scene: Scene, scenario: str, batch: list[Case]) -> None:
        self._scene = scene
        self._lanes = {f"{scenario}.{lane}": case for lane, case in enumerate(batch)}
        self.kills = 0

    async def play(self, peaceful: Undisturbed) -> Findings:
        """Start, wait until each worker has died, let one successor finish everything, and judge."""
        scene = self._scene
        doomed = [await scene.worker(task, crash=str(case), slots=1) for task, case in self._lanes.items()]
        runs = [await scene.start(task) for task in self._lanes]
        await scene.until(lambda: self._is_over(doomed, runs), f"deaths at {[*map(str, self._lanes.values())]}")
        self.kills = sum(not worker.is_alive for worker in doomed)
        for worker in doomed:
            await worker.kill()
        scene.onlooker.look(())
        scene.expire(doomed)
        successor = await scene.worker(*self._lanes)
        await scene.until_final(runs)
        await successor.kill()
        return await self._judged(runs, peaceful)

    def _is_over(self, doomed: list[Worker], runs: list[Run]) -> bool:
        alive = [run for run, worker in zip(runs, doomed, strict=True) if worker.is_alive]
        return all(row["state"] in FINAL for row in self._scene.rows(alive).values())

    async def _judged(self, runs: list[Run], peaceful: Undisturbed) -> Findings:
        found = Findings()
        for run, case in zip(runs, self._lanes.values(), strict=True):
            found.add(await judge(self._scene, run, peaceful, str(case)))
            self._scene.onlooker.forget(run.id)
        return found
