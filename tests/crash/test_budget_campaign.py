"""The budget campaign: many branches at once on a hierarchy of budgets, a lying provider, kills and database faults.

Reservations beyond a limit: none. Leaked reservations: none. Overruns: counted apart, each explained by what the
provider said. The ledger: what the journals say. `make test` runs 120 runs, `make test-long` 10,000; CAMPAIGN_RUNS and
CRASH_SEED choose otherwise; after CAMPAIGN_S seconds none is begun any more. What a run does and how its provider
answers hangs on the seed alone; what dies when, does not.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import campaign_app
import pytest
from campaign_books import Whose
from campaign_budgets import FEATURES, Treasury
from campaign_faults import Faults
from campaign_judge import Judge
from campaign_model import Provider
from campaign_observer import Observer
from crash_scene import FINAL, Scene
from nursery import Nursery
from uuid_utils.compat import uuid7

from conftest import opened
from holdfast.domain.errors import DatabaseUnavailable
from holdfast.service.cancel_run import cancel_run
from holdfast.service.services import LOCAL
from holdfast.service.start_run import start_run
from holdfast.settings import PREFIX
from holdfast.store.vault import WrappingKey
from support.private_database import PrivateDatabase, serving
from support.proxy import Proxy

IN_FLIGHT = 130
AT_ONCE = 64
"""Branches that have to have been in flight at once: each holds a reservation."""
BETWEEN_FAULTS = (1, 6)
"""How many runs end between one fault and the next."""
SERVER = {"shared_buffers": "128MB", "fsync": "off", "max_connections": "200"}
STATES = "select id, state, waiting_on from holdfast.runs where id = any(%s)"
LAST = "select run, seq, at, type, body from holdfast.events where run = any(%s) order by run, seq desc limit 30"
PATIENCE_S = 90
"""After so long in which nothing ends, it is over."""
# The driver drops a connection open whose server dies while it is being made.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.timeout(175)
async def test_budgets_hold_in_a_small_campaign(campaign_folder: Path, provider: Provider, staff: Nursery):
    async with campaigning(campaign_folder, provider, staff) as campaign:
        await campaign.run(int(os.environ.get("CAMPAIGN_RUNS", "120")))


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_budgets_hold_in_ten_thousand_runs(campaign_folder: Path, provider: Provider, staff: Nursery):
    async with campaigning(campaign_folder, provider, staff) as campaign:
        assert await campaign.run(int(os.environ.get("CAMPAIGN_RUNS", "10000"))) >= AT_ONCE


@pytest.fixture
def campaign_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holdfast.toml").write_text(campaign_app.PRICES)
    WrappingKey.generate().save(tmp_path / "key")
    return tmp_path


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    with provider.server:
        yield provider


@pytest.fixture
def staff(campaign_folder: Path, provider: Provider) -> Iterator[Nursery]:
    with Nursery(campaign_folder, provider.server.url, "campaign_app") as nursery:
        yield nursery


@asynccontextmanager
async def campaigning(folder: Path, provider: Provider, staff: Nursery) -> AsyncIterator["Campaign"]:
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    print(f"\nbudget campaign: seed {seed}", flush=True)
    app = campaign_app.app_of([*campaign_app.TASKS])
    with serving(SERVER) as database:
        async with Proxy(database.worker_url) as proxy, opened(folder, staff, None, app, database) as scene:
            yield Campaign(seed, scene, database, proxy, provider)


class Campaign:
    """Runs come, things go wrong, budgets are raised."""

    def __init__(self, seed: int, scene: Scene, database: PrivateDatabase, proxy: Proxy, provider: Provider) -> None:
        self._seed, self._scene, self._database, self._provider = seed, scene, database, provider
        self._rng = random.Random(seed)
        self._treasury = Treasury(scene.services, scene.connection, self._rng)
        self._faults = Faults(scene, database, proxy, self._rng)
        self._proxy = proxy
        self._runs: dict[UUID, tuple[str, Whose]] = {}
        self._open = set[UUID]()
        self._until = time.monotonic() + float(os.environ.get("CAMPAIGN_S", "inf"))

    async def run(self, runs: int) -> int:
        """So many runs, then everything is judged. Returns how many reservations were held at once, at the most."""
        await self._treasury.found()
        with Observer(self._database.admin_url) as observer:
            await self._rage(runs, observer)
            left = await self._end()
        observer.look()
        judge = Judge(self._scene, self._runs, self._provider.answers())
        await judge.judge()
        judge.told["parked for good, then cancelled"] = left
        self._tell(judge, observer)
        if observer.failed is not None:
            raise observer.failed
        wrong = [*observer.wrong, *judge.wrong]
        assert not wrong, f"{len(wrong)} things are wrong (seed {self._seed}):\n" + "\n".join(wrong)
        for what in ("estimated", "overruns (steps)", "parks: budget"):
            assert judge.told[what] > 0, f"nothing was tried: {what}"
        return observer.most_at_once

    async def _rage(self, runs: int, observer: Observer) -> None:
        ended, fault_at, moved = 0, self._rng.randint(*BETWEEN_FAULTS), time.monotonic()
        while ended < runs:
            if time.monotonic() > self._until:
                runs = len(self._runs)
            await self._faults.keep_workers()
            while len(self._open) < IN_FLIGHT and len(self._runs) < runs:
                await self._start()
            before, ended = ended, self._settle()
            if ended > before:
                moved = time.monotonic()
                if ended // 100 > before // 100:
                    kills, looks = self._faults.told["kills"], observer.looks
                    print(
                        f"  runs ended {ended}, kills {kills}, looks {looks}, {dict(self._treasury.told)}", flush=True
                    )
            if ended >= fault_at:
                fault_at = ended + self._rng.randint(*BETWEEN_FAULTS)
                await self._faults.next()
            self._faults.look()
            if not self._faults.is_locked:
                await self._treasury.attend()
            await self._scene.attend()
            assert not observer.wrong, observer.wrong
            assert observer.failed is None, observer.failed
            assert time.monotonic() - moved < PATIENCE_S, f"nothing ends any more: {self._stuck()}"
            await asyncio.sleep(0.1)

    async def _start(self) -> None:
        number = len(self._runs)
        tag = f"{self._seed}.{number}"
        drawn = random.Random(tag)
        who, feature = drawn.choice(self._treasury.people), drawn.choice(FEATURES)
        task, session = drawn.choice([*campaign_app.TASKS]), uuid7()
        text = f"{tag} " + "please " * drawn.randint(1, 200)
        while True:
            try:
                view = await start_run(
                    self._scene.services, who, task, text, session=session, idempotency_key=tag,
                    labels={"feature": feature},
                )  # fmt: skip
                break
            except DatabaseUnavailable:
                continue
        self._runs[view.id] = (tag, Whose(view.id, who.principal, str(session), feature, task))
        self._open.add(view.id)

    def _settle(self) -> int:
        """Forget those that ended, or wait for good; how many have."""
        for run, state, waiting_on in self._states(self._open):
            if state in FINAL or (waiting_on == "budget" and self._treasury.waits_for_good(run)):
                self._open.discard(run)
        return len(self._runs) - len(self._open)

    async def _end(self) -> int:
        """Nothing goes wrong any more. Those that wait for good are cancelled; how many."""
        self._faults.end()
        await self._faults.keep_workers()
        left = [run for run, state, _ in self._states(self._runs) if state not in FINAL]
        for run in left:
            assert self._treasury.waits_for_good(run), f"{run} waits for nothing that is listed\n{self._scene.story()}"
            await cancel_run(self._scene.services, LOCAL, run)
        await self._scene.until(lambda: all(state in FINAL for _, state, _ in self._states(left)), "all are over")
        return len(left)

    def _stuck(self) -> str:
        """What keeps those that have not ended, for whoever reads that they do not."""
        rows = self._scene.connection.dicts("select * from holdfast.runs where id = any(%s)", [[*self._open]])
        told = [f"{row['id']} {row['state']} {row['waiting_on']} epoch {row['epoch']} seq {row['seq']}" for row in rows]
        last = self._scene.connection.execute(LAST, [[*self._open][:3]])
        return "\n".join([*told, *map(str, last), self._scene.story()])

    def _states(self, runs: Iterable[UUID]) -> list[Any]:
        return self._scene.connection.execute(STATES, [[*runs]])

    def _tell(self, judge: Judge, observer: Observer) -> None:
        answers = [said for told in self._provider.answers().values() for said, _ in told]
        told = {
            "requests at the provider": len(answers),
            "most requests at once": self._provider.most_at_once(),
            "most reservations at once": observer.most_at_once,
            "looks at the budgets": observer.looks,
            **{f"usage said: {lie}": count for lie, count in sorted(Counter(one.lie for one in answers).items())},
            **{f"provider: {name}": count for name, count in sorted(Counter(one.fault for one in answers).items())},
            "connections cut": self._proxy.cuts.value,
            **self._faults.told,
            **self._treasury.told,
            **dict(sorted(judge.told.items())),
            "wrong": len(judge.wrong) + len(observer.wrong),
        }
        print(f"budget campaign, seed {self._seed}")
        for what, count in told.items():
            print(f"  {count:>8}  {what}")
