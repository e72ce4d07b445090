"""Workers killed at random moments, several at once, under a load of every scenario, with leases that really run out.

`make test` kills 24 times; `make test-long` 2,000 times. CRASH_KILLS and CRASH_SEED choose
otherwise; the seed of a campaign is printed, and a campaign that was broken off goes on with another seed.
"""

import os
import random
import signal
import time

import pytest
from crash_app import SCENARIOS
from crash_scene import FINAL, Run, Scene
from judging import Findings, Undisturbed, journal_of, judge
from nursery import Worker

from holdfast.domain import events as ev
from holdfast.domain.stored import load
from holdfast.service.approval_shapes import ApprovalView

WORKERS, IN_FLIGHT = 3, 10
LIVELY = {"lease_s": 2, "tick_s": 0.2, "poll_s": 0.3, "slots": 6}


@pytest.mark.timeout(170)
async def test_a_few_random_kills(scene: Scene, peace):
    await campaign(scene, peace, kills=24)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_two_thousand_random_kills(scene: Scene, peace):
    await campaign(scene, peace, kills=int(os.environ.get("CRASH_KILLS", "2000")))


async def campaign(scene: Scene, peace, kills: int) -> None:
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    print(f"\nrandom kills: seed {seed}")
    peaceful = {scenario: await peace(scenario) for scenario in SCENARIOS}
    chaos = Chaos(scene, peaceful, random.Random(seed))
    await chaos.rage(kills)
    found = chaos.found
    print(
        f"random kills: kills {chaos.kills}, runs {found.runs}, lost {found.lost}, repeated {found.repeated}, "
        f"duplicated {found.duplicated}, in doubt {found.in_doubt} (seed {seed})"
    )
    assert chaos.kills == kills
    assert found.is_clean, "\n".join(found.wrong)


class Chaos:
    """Runs come, workers go."""

    def __init__(self, scene: Scene, peaceful: dict[str, Undisturbed], rng: random.Random) -> None:
        self._scene, self._peaceful, self._rng = scene, peaceful, rng
        self._runs: list[Run] = []
        self._workers: list[Worker] = []
        self._died: dict[str, Worker] = {}
        self.kills = 0
        self.found = Findings()
        scene.on_doubt = self._is_over

    async def rage(self, kills: int) -> None:
        """Kill so many times, then let everything end."""
        while self.kills < kills:
            await self._fill()
            await self._some_events_pass()
            await self._kill_one()
            await self._judge_ended()
            if self.kills % 100 == 0:
                print(f"  kills {self.kills}, runs {self.found.runs}, wrong {len(self.found.wrong)}", flush=True)
        await self._fill()
        await self._let_end()
        await self._scene.until_final(self._runs)
        await self._judge_ended()

    async def _let_end(self) -> None:
        """Nothing holds runs back any more."""

    async def _fill(self) -> None:
        self._workers = [worker for worker in self._workers if worker.is_alive]
        while len(self._workers) < WORKERS:
            self._workers.append(await self._scene.worker(*SCENARIOS, **LIVELY))
        while len(self._runs) < IN_FLIGHT:
            self._runs.append(await self._scene.start(self._rng.choice(SCENARIOS)))

    async def _some_events_pass(self) -> None:
        """Wait for a random number of events: kills come where work is done, on fast machines and slow ones."""
        wanted = self._events() + self._rng.randint(1, 40)
        await self._scene.until(
            lambda: self._events() >= wanted or all(row["state"] in FINAL for row in self._rows().values()),
            f"event {wanted}",
        )

    def _events(self) -> int:
        return sum(map(len, self._scene.onlooker.seen.values()))

    def _rows(self) -> dict:
        return self._scene.rows(self._runs)

    async def _kill_one(self) -> None:
        """Rather one that carries something."""
        busy = {
            pid
            for (pid,) in self._scene.connection.execute(
                "select distinct w.pid from holdfast.runs r join holdfast.workers w on w.id = r.worker "
                "where r.state = 'running'"
            )
        }
        victims = [worker for worker in self._workers if worker.is_alive and worker.pid in busy]
        if not victims:
            return
        victim = self._rng.choice(victims)
        victim.signal(signal.SIGKILL)
        await victim.gone()
        self.kills += 1

    async def _judge_ended(self) -> None:
        rows = self._rows()
        for run in [run for run in self._runs if rows[run.id]["state"] in FINAL]:
            self._scene.onlooker.look(())
            self.found.add(await judge(self._scene, run, self._peaceful[run.scenario]))
            self._scene.onlooker.forget(run.id)
            self._runs.remove(run)

    def _is_over(self, task: ApprovalView) -> bool:
        """The person first makes sure that whoever had begun it is dead, or knows that the run is no longer its own.

        On a busy machine a lease may run out under a worker that lives; no answer is right while it may still act.
        """
        worker = ""
        for stored in journal_of(self._scene, task.run):
            event = load(stored.type, stored.body)
            if isinstance(event, ev.RunClaimed):
                worker = str(event.worker)
            if isinstance(event, ev.ToolStarted) and event.key == task.key:
                break
        for alive in self._workers:
            if alive.is_alive and any(line["worker"] == worker for line in alive.log("worker.started")):
                return any(line["worker"] == worker for line in alive.log("lease.lost"))
        return True
