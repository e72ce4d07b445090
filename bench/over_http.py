"""CPU of a durable run beside the same agent bare, where its model is behind HTTP: as every agent runs that is of use.

`cpu.py`, where the model is in memory, shows what a step costs here; this, what of the CPU of an agent that is.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from httpx2 import AsyncClient

from bench.cpu import Turns, bare
from bench.meter import spent
from bench.place import Place, queue_runs, work_off
from bench.provider import provider_of
from bench.row import Row
from bench.workload import Typed, chain_agent_over_http, chain_script
from holdfast.app import App

if TYPE_CHECKING:
    from pydantic_ai import Agent

    from holdfast.engine.gear import Gear
    from holdfast.service.services import Services

BAR = 1.25
TURNS = 12
WAYS = {"text": str, "typed": Typed}
ANSWERS = {"text": "text", "typed": "of a type"}


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """The ratio at 16 runs at once, and at one."""
    many, one = Turns(16, 4 if quick else 16), Turns(1, 2 if quick else 4)
    async with AsyncExitStack() as stack:
        url = stack.enter_context(provider_of(chain_script(), place.data_dir))
        client = await stack.enter_async_context(AsyncClient())
        app, agents = App("bench"), {way: chain_agent_over_http(url, client, output) for way, output in WAYS.items()}
        for way, agent in agents.items():
            app.task(way, agent=agent, stream=False)
        services = await stack.enter_async_context(place.services(app))
        gear = await stack.enter_async_context(place.gear())
        await _turn(place, app, services, gear, agents, Turns(4, 4))
        for nth in range(1 if quick else TURNS):
            place.clear()
            for turns in (many, one):
                await _turn(place, app, services, gear, agents, turns, durable_first=nth % 2 == 1)
    return [_row(turns, way, how) for turns, how in ((many, "16 at once"), (one, "1 at a time")) for way in WAYS]


async def _turn(
    place: Place,
    app: App,
    services: Services,
    gear: Gear,
    agents: dict[str, Agent[None, Any]],
    turns: Turns,
    *,
    durable_first: bool = False,
) -> None:
    for way, agent in agents.items():
        runs = await queue_runs(services, way, turns.runs)
        settings = place.settings(slots=turns.at_once)
        works = {
            f"bare {way}": partial(bare, agent, turns.runs, turns.at_once),
            way: partial(work_off, app, gear, settings, runs),
        }
        for name, work in reversed(works.items()) if durable_first else works.items():
            turns.add(name, await spent(work, place.server_dir))


def _row(turns: Turns, way: str, how: str) -> Row:
    return Row(
        name=f"CPU of a durable run ÷ bare, its model over HTTP, its answer {ANSWERS[way]}, {how}",
        measured=turns.ratio(way, f"bare {way}"),
        bar=BAR if turns.at_once > 1 else None,
        note=turns.told(way, f"bare {way}"),
    )
