"""The claim loop on a real database, with executions that do nothing but wait for the test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from worker_scene import APP, Scene

from holdfast.domain.errors import KeyUnavailable
from holdfast.engine.execution import Ended
from holdfast.settings import Settings
from holdfast.store.claims import Claimed, claim_runs
from holdfast.task import Task
from holdfast.wiring import load_app, open_worker
from holdfast.worker import Worker

PATIENCE_S = 30


class Waiting:
    """An execution that ends when and how the test says."""

    def __init__(self, task: Task, claimed: Claimed) -> None:
        self.task, self.claimed = task, claimed
        self.steps: list[Any] = []
        self.times: dict[Any, Any] = {}
        self.noticed = asyncio.Event()
        self.is_leaving = False
        self.ends: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def run(self) -> Ended:
        return await self.ends

    def notice(self) -> None:
        self.noticed.set()

    def halt(self, out_of_grace: Any) -> None:
        pass

    def end(self, how: Ended | Exception) -> None:
        if self.ends.done():
            return
        if isinstance(how, Exception):
            self.ends.set_exception(how)
        else:
            self.ends.set_result(how)

    def lose(self, why: str) -> None:
        self.end(Ended.LOST)

    def leave(self) -> None:
        self.is_leaving = True

    def drain(self) -> None:
        self.end(Ended.HANDED_OVER)


class Crew:
    """A worker in this process, and the executions it began."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.executions: list[Waiting] = []
        self._began = asyncio.Condition()

    def execute(self, task: Task, claimed: Claimed) -> Waiting:
        execution = Waiting(task, claimed)
        self.executions.append(execution)
        return execution

    async def of(self, run: UUID, epoch: int = 1) -> Waiting:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for execution in self.executions:
                    if (execution.claimed.run, execution.claimed.epoch) == (run, epoch):
                        return execution
                await asyncio.sleep(0.01)


@pytest.fixture
def crew(scene: Scene) -> Callable[..., Any]:
    @asynccontextmanager
    async def made(**settings: Any) -> AsyncIterator[Crew]:
        given = {"database_url": scene.database.worker_url, "key_file": scene.folder / "key", "tick_s": 0.2}
        read = Settings.load(given | settings)
        app = load_app(f"{APP}:app")
        async with open_worker(read, app) as wired:
            crew = Crew(wired)
            crew.worker = Worker(app, wired._gear, read, execute=crew.execute)
            working = asyncio.create_task(crew.worker.run())
            try:
                yield crew
            finally:
                crew.worker.stop(0)
                await working

    return made


async def test_no_more_runs_than_slots_are_claimed_and_a_freed_slot_is_filled(scene: Scene, crew: Any):
    runs = [await scene.start("quick") for _ in range(3)]
    async with crew(slots=2, poll_s=600) as at_work:
        first = await at_work.of(runs[0])
        await at_work.of(runs[1])
        assert scene.row(runs[2])["state"] == "queued"
        first.end(Ended.FINISHED)
        await at_work.of(runs[2])


async def test_a_tasks_own_slots_bound_it_and_leave_room_for_others(scene: Scene, crew: Any):
    bounded = [await scene.start("one-slot") for _ in range(2)]
    other = await scene.start("quick")
    async with crew(slots=3, poll_s=600) as at_work:
        first = await at_work.of(bounded[0])
        await at_work.of(other)
        assert scene.row(bounded[1])["state"] == "queued"
        first.end(Ended.FINISHED)
        await at_work.of(bounded[1])


async def test_a_hint_wakes_an_idle_worker(scene: Scene, crew: Any):
    async with crew(poll_s=600) as at_work:
        await at_work.of(await scene.start("quick"))
        await scene.services.hints.listening.wait()
        await at_work.of(await scene.start("quick"))


async def test_a_worker_that_is_told_to_stop_starts_nothing_more_while_its_last_claim_ends(scene: Scene, crew: Any):
    async with crew(poll_s=600) as at_work:
        held = await at_work.of(await scene.start("quick"))
        at_work.worker.stop(60)
        assert held.is_leaving


async def test_polling_finds_what_no_hint_told_of(scene: Scene, crew: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scene.services.hints, "notify", lambda payload: None)
    async with crew(poll_s=0.1) as at_work:
        await at_work.of(await scene.start("quick"))


async def test_a_run_whose_execution_breaks_is_tried_again_and_then_quarantined(scene: Scene, crew: Any):
    run = await scene.start("quick")
    async with crew() as at_work:
        for epoch in (1, 2, 3):
            (await at_work.of(run, epoch)).end(RuntimeError("a bug"))
        await asyncio.to_thread(scene.wait_row, run, state="parked", waiting_on="quarantine")


async def test_a_run_that_is_ours_but_not_carried_is_released_by_the_next_renewal(scene: Scene, crew: Any):
    """As after a claim whose answer was lost."""
    async with crew(lease_s=1, slots=1) as at_work:
        known = await at_work.of(await scene.start("quick"))
        stray = await scene.start("quick")
        db = at_work.worker._gear.db
        (claimed,) = await claim_runs(db, known.claimed.worker, 1, ["quick"], ["1"], [1])
        assert claimed.run == stray
        row = await asyncio.to_thread(scene.wait_row, stray, state="queued", epoch=1)
        assert (row["worker"], row["claims"]) == (None, 0)
        assert not known.ends.done()


async def test_a_signal_is_noticed_by_hint(scene: Scene, crew: Any):
    async with crew(lease_s=3600) as at_work:
        execution = await at_work.of(await scene.start("quick"))
        scene.services.hints.notify(f"s:{execution.claimed.run}")
        async with asyncio.timeout(PATIENCE_S):
            await execution.noticed.wait()


async def test_a_signal_without_a_hint_is_noticed_at_a_renewal(scene: Scene, crew: Any):
    async with crew(lease_s=1) as at_work:
        execution = await at_work.of(await scene.start("quick"))
        scene.connection.execute(
            "update holdfast.runs set inbox_seq = inbox_seq + 1 where id = %s", [execution.claimed.run]
        )
        async with asyncio.timeout(PATIENCE_S):
            await execution.noticed.wait()


async def test_a_worker_told_to_stop_before_it_registered_ends(scene: Scene, crew: Any):
    run = await scene.start("quick")
    async with crew() as at_work:
        at_work.worker.stop(0)
    assert scene.row(run)["state"] == "queued"
    assert scene.row(run)["claims"] == 0


async def test_a_lease_that_the_database_calls_expired_is_lost_at_the_next_renewal(scene: Scene, crew: Any):
    with capture_logs() as logs:
        async with crew(lease_s=6) as at_work:
            run = await scene.start("quick")
            first = await at_work.of(run)
            scene.connection.execute("update holdfast.workers set lease_until = lease_until - interval '1 hour'")
            again = await at_work.of(run, epoch=2)
            assert await first.ends is Ended.LOST
            assert again.claimed.worker != first.claimed.worker
    lost = [log for log in logs if log["event"] == "lease.lost"]
    assert [log["cause"] for log in lost] == ["the database says that it has expired"]


async def test_a_run_that_this_process_has_no_key_for_is_given_back_unharmed(
    scene: Scene, crew: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("holdfast.worker.carried._WRONG_KEY_PAUSE_S", 0.0)
    run = await scene.start("quick")
    async with crew() as at_work:
        for epoch in range(1, 6):
            (await at_work.of(run, epoch)).end(KeyUnavailable("not this one"))
        assert (await at_work.of(run, 6)).claimed.claims == 1
