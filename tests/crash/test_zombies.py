"""Workers that hang past their lease and come back: others have their runs, and nothing they still do is believed.

A zombie is stopped (SIGSTOP) at a named point, its lease runs out, another process takes over and goes on as far as
it can; then the zombie is continued. `make test` raises 8, `make test-long` 200.
"""

import os
import random
import signal
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from pathlib import Path
from uuid import UUID

import pytest
from crash_scene import FINAL, LANES, Run, Scene
from judging import ONCE, Findings, journal_of, judge, loaded
from nursery import Worker

from holdfast.domain import events as ev
from holdfast.testing import POINTS

SCENARIOS = ("sequential", "parallel", "approval", "delegate")


@dataclass(frozen=True)
class Case:
    """Where the zombie stops."""

    scenario: str
    point: str
    nth: int

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}"


A_FEW = (
    Case("sequential", "append.before_send", 4),
    Case("sequential", "append.after_commit", 6),
    Case("sequential", "tool.entering", 4),
    Case("sequential", "effect.done", 1),
    Case("parallel", "outcome.before", 2),
    Case("parallel", "intent.after", 4),
    Case("approval", "tool.entering", 2),
    Case("delegate", "model.sending", 3),
)


@pytest.mark.timeout(170)
async def test_a_few_zombies(scene: Scene, peace):
    await raised(scene, peace, [*A_FEW])


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_two_hundred_zombies(scene: Scene, peace):
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    print(f"\nzombies: seed {seed}")
    rng = random.Random(seed)
    chosen: list[Case] = []
    for _ in range(216):
        scenario = rng.choice(SCENARIOS)
        points = (await peace(scenario)).points
        point = rng.choice([*POINTS, "effect.done"])
        chosen.append(Case(scenario, point, rng.randint(1, points[point])))
    await raised(scene, peace, chosen)


async def test_a_once_tool_that_finishes_in_the_zombie_resolves_its_doubt_by_a_late_report(scene: Scene, peace):
    peaceful = await peace("sequential")
    scene.on_doubt = lambda _: False
    zombie = await scene.worker("sequential", crash="effect.done:1=stop")
    run = await scene.start("sequential")
    await scene.until(lambda: is_stopped(zombie), "the zombie stops")
    scene.expire([zombie])
    await scene.worker("sequential")
    await scene.until_row(run, state="parked", waiting_on="in_doubt")
    zombie.signal(signal.SIGCONT)
    await scene.until_final([run])
    [resolved] = [event for event in loaded(journal_of(scene, run.id)) if isinstance(event, ev.EffectResolved)]
    assert resolved.resolution == "done"
    assert resolved.by.startswith("late report")
    found = await judge(scene, run, peaceful)
    assert found.is_clean, found.wrong


async def raised(scene: Scene, peace, chosen: list[Case]) -> None:
    found, late, zombies = Findings(), list[str](), 0
    for at in range(0, len(chosen), LANES):
        graveyard = Graveyard(scene, chosen[at : at + LANES])
        # Every other batch, the lease runs out by the zombies' own clocks too; else they hear of it from the database,
        # at their next renewal.
        found.add(await graveyard.rise(peace, lease_s=30 if at // LANES % 2 else 3))
        late += graveyard.late
        zombies += graveyard.raised
    print(
        f"\nzombies: {zombies} of {len(chosen)} planned, stale appends {found.lost}, late dispatches {len(late)}, "
        f"repeated {found.repeated}, duplicated {found.duplicated}, in doubt {found.in_doubt}"
    )
    assert not late
    assert zombies >= 0.9 * len(chosen)
    assert found.is_clean, "\n".join(found.wrong)


class Graveyard:
    """Up to eight zombies at once, each with a run of its own."""

    def __init__(self, scene: Scene, cases: list[Case]) -> None:
        self._scene = scene
        self._cases = {f"{case.scenario}.{lane}": case for lane, case in enumerate(cases)}
        self.late: list[str] = []
        self.raised = 0

    async def rise(self, peace, lease_s: float) -> Findings:
        """Stop them, take over, continue them, and judge."""
        scene = self._scene
        peaceful = {case.scenario: await peace(case.scenario) for case in self._cases.values()}
        scene.on_doubt = lambda _: True
        zombies = [
            await scene.worker(task, crash=f"{case}=stop", slots=1, lease_s=lease_s)
            for task, case in self._cases.items()
        ]
        runs = [await scene.start(task) for task in self._cases]
        # Calls that end together share a commit, or not: a parallel run may be over before its planned point.
        await scene.until(
            lambda: all(
                row["state"] in FINAL or is_stopped(zombie)
                for row, zombie in zip(scene.rows_of(runs), zombies, strict=True)
            ),
            f"they stop at {[*map(str, self._cases.values())]}",
        )
        undead = [row["state"] not in FINAL for row in scene.rows_of(runs)]
        for zombie, is_one in zip(zombies, undead, strict=True):
            if not is_one:
                await zombie.kill()
        zombies, runs, cases = ([*compress(each, undead)] for each in (zombies, runs, self._cases.values()))
        self.raised = len(zombies)
        # Whoever is stopped may still do what it began: a person who decided now would guess.
        scene.on_doubt = lambda _: False
        scene.expire(zombies)
        successor = await scene.worker(*self._cases)
        await scene.until(lambda: all(_can_go_no_further(row) for row in scene.rows(runs).values()), "the take-over")
        scene.onlooker.look(())
        before = {run.id: journal_of(scene, run.id) for run in runs if scene.row(run)["state"] in FINAL}
        announced = {run.id: set(_announced(scene, run)) for run in runs}
        for zombie in zombies:
            zombie.signal(signal.SIGCONT)
        await scene.until(lambda: all(map(_knows, zombies)), "they know that they have lost")
        scene.on_doubt = lambda _: True
        await scene.until_final(runs)
        found = Findings()
        for run, zombie, case in zip(runs, zombies, cases, strict=True):
            if run.id in before and journal_of(scene, run.id) != before[run.id]:
                found.wrong.append(f"{case}: the journal of a run that had ended has changed")
            self._count_late(run, zombie, announced[run.id])
            # A probe that is asked while the zombie hangs cannot know what it will do: only `once` is certain.
            found.add(await judge(scene, run, peaceful[run.scenario], f"zombie {case}", never_twice=ONCE))
            scene.onlooker.forget(run.id)
        for worker in (*zombies, successor):
            await worker.kill()
        return found

    def _count_late(self, run: Run, zombie: Worker, before: set[tuple[str, int]]) -> None:
        """What the zombie did without an intent of its own time, or after it knew that it had lost the run.

        Once it has registered anew the same process may take the run up again as anybody may: what it announced under
        its new id it may do.
        """
        lost_at = min(datetime.fromisoformat(line["timestamp"]).timestamp() for line in zombie.log("lease.lost"))
        first, *later = [UUID(line["worker"]) for line in zombie.log("worker.started")]
        holders = _announced(self._scene, run)
        for line in self._scene.ledger.of(run.id):
            effect = (line["key"], line["attempt"])
            holder = holders.get(effect)
            if line["pid"] != zombie.pid or holder in later:
                continue
            if holder != first or effect not in before or line["wall"] > lost_at:
                self.late.append(f"{line} of {run.scenario}, announced by {holder}; {first} lost it at {lost_at}")


def is_stopped(worker: Worker) -> bool:
    assert worker.is_alive, worker.text()
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _can_go_no_further(row: dict) -> bool:
    return row["state"] in FINAL or (row["state"], row["waiting_on"]) == ("parked", "in_doubt")


def _knows(zombie: Worker) -> bool:
    """It has noticed, has let the run go, and lives on under a new id."""
    return bool(zombie.log("lease.lost")) and len(zombie.log("worker.started")) >= 2


def _announced(scene: Scene, run: Run) -> dict[tuple[str, int], UUID]:
    """Who announced each attempt at an effect, by its key and number."""
    found: dict[tuple[str, int], UUID] = {}
    holder = None
    for event in loaded(journal_of(scene, run.id)):
        if isinstance(event, ev.RunClaimed):
            holder = event.worker
        elif isinstance(event, ev.ToolStarted):
            assert holder is not None
            found[event.key, event.attempt] = holder
    return found
