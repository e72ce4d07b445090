"""CPU of a durable run beside the same agent bare in memory: 15 sequential tools, the same process and loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.meter import Spent, ratios, spent
from bench.place import Place, queue_runs, work_off
from bench.row import Row
from bench.workload import STEPS, chain_agent
from holdfast.app import App

if TYPE_CHECKING:
    from pydantic_ai import Agent

    from holdfast.engine.gear import Gear
    from holdfast.service.services import Services

BAR = 1.6
"""At 64 runs at once. What an agent is to cost whose model is not in memory is `over_http.py`."""
TURNS = 5


class Sleeper:
    """A bare agent that sleeps before each step, for as long as a durable run was last seen to wait there.

    A process that slept finds its caches full of others' work, and on a virtual machine often a slower processor: it
    pays for that whatever it waited for. One run at a time sleeps at each commit, which is to be told from what
    journaling it takes.
    """

    def __init__(self) -> None:
        self.step_s = 0.0
        self.agent = chain_agent(before_each=self._sleep)

    async def _sleep(self) -> None:
        await asyncio.sleep(self.step_s)

    def as_long_as(self, durable: Spent, runs: int) -> None:
        """Sleep from now on as long as that work waited."""
        self.step_s = max(0.0, durable.wall_s - durable.cpu_s) / (runs * STEPS)


@dataclass
class Turns:
    """The same work in several ways, turn by turn."""

    at_once: int
    runs: int
    """Of one turn."""
    spent: dict[str, list[Spent]] = field(default_factory=dict[str, list[Spent]])

    def add(self, way: str, cost: Spent) -> None:
        self.spent.setdefault(way, []).append(cost)

    def cpu_ms(self, way: str) -> float:
        """CPU of a run in this process."""
        return median(cost.cpu_s for cost in self.spent[way]) / self.runs * 1000

    def server_ms(self, way: str) -> float:
        """CPU of a run at the database server."""
        return median(cost.server_cpu_s for cost in self.spent[way]) / self.runs * 1000

    def ratio(self, way: str, below: str = "bare") -> float:
        """CPU of one way to that of another."""
        return ratios([cost.cpu_s for cost in self.spent[way]], [cost.cpu_s for cost in self.spent[below]])

    def told(self, way: str, below: str) -> str:
        """What a durable run cost, and a bare one, as the table says it."""
        return (
            f"bare {self.cpu_ms(below):.1f} ms, durable {self.cpu_ms(way):.1f} ms; "
            f"the server's own {self.server_ms(way):.1f} ms"
        )


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """The ratio at 64 runs at once, and at one; what each part adds."""
    agent = chain_agent()
    app = App("bench")
    app.task("journal", agent=agent, stream=False)
    app.task("streaming", agent=agent, stream=True)
    async with place.services(app) as services, place.gear() as gear:
        await _turn(place, app, services, gear, agent, Turns(8, 8))
        place.clear()
        many, one = Turns(64, 4 if quick else 64), Turns(1, 2 if quick else 16)
        sleeper = Sleeper()
        for _ in range(1 if quick else TURNS):
            for turns in (many, one):
                await _turn(place, app, services, gear, agent, turns)
            sleeper.as_long_as(one.spent["journal"][-1], one.runs)
            one.add("bare, asleep", await spent(lambda: bare(sleeper.agent, one.runs, one.at_once)))
    return [_row(many, "64 at once", BAR), _row(one, "1 at a time"), _asleep(one), *_added(many)]


async def _turn(place: Place, app: App, services: Services, gear: Gear, agent: Agent[None, str], turns: Turns) -> None:
    turns.add("bare", await spent(lambda: bare(agent, turns.runs, turns.at_once)))
    turns.add("bare streamed", await spent(lambda: bare(agent, turns.runs, turns.at_once, streamed=True)))
    for task in ("journal", "streaming"):
        runs = await queue_runs(services, task, turns.runs)
        settings = place.settings(slots=turns.at_once)
        cost = await spent(lambda runs=runs, settings=settings: work_off(app, gear, settings, runs), place.server_dir)
        turns.add(task, cost)


async def bare(agent: Agent[None, Any], count: int, at_once: int, *, streamed: bool = False) -> None:
    """The agent by itself, `count` times, so many `at_once`."""
    left = iter(range(count))

    async def carry() -> None:
        for _ in left:
            if streamed:
                async with agent.run_stream_events("hi") as events:
                    async for _event in events:
                        pass
            else:
                await agent.run("hi")

    await asyncio.gather(*(carry() for _ in range(at_once)))


def _row(turns: Turns, how: str, bar: float | None = None) -> Row:
    return Row(
        name=f"CPU of a durable run ÷ bare, its model in memory, {how}",
        measured=turns.ratio("journal"),
        bar=bar,
        note=turns.told("journal", "bare"),
        details={
            way: {"cpu_ms": round(turns.cpu_ms(way), 2), "server_cpu_ms": round(turns.server_ms(way), 2)}
            for way in turns.spent
        },
    )


def _asleep(turns: Turns) -> Row:
    return Row(
        name="CPU of a bare run that sleeps as long as a durable one waits ÷ bare, its model in memory, 1 at a time",
        measured=turns.ratio("bare, asleep"),
        note=f"what waiting costs on this machine; durable ÷ this: {turns.ratio('journal', 'bare, asleep'):.2f}",
    )


def _added(turns: Turns) -> list[Row]:
    """Parts added one by one. Budget, audit and tracing join here as they come to be; policy is `governed.py`."""
    return [
        Row(
            name="CPU in total: bare → journal → + streaming",
            measured=turns.ratio("streaming"),
            bar=1.45,
            note=f"+ streaming {turns.ratio('streaming', 'journal'):.2f} of journal; streamed, "
            f"{turns.ratio('streaming', 'bare streamed'):.2f} of bare streamed",
        )
    ]
