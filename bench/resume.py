"""Resuming a run of 400 steps: CPU beside running it bare, and how long the event loop is held in one piece."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import UsageLimits

from bench.meter import ratios, spent
from bench.place import queue_runs, work_off
from bench.row import Row
from bench.workload import chain_agent
from holdfast.app import App
from holdfast.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from bench.place import Place
    from holdfast.engine.gear import Gear

STEPS = 400
TURNS = 3
UNLIMITED = UsageLimits(request_limit=None)
PATIENCE_S = 600.0


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """Runs that were handed over before their last step, carried on by a new worker."""
    tools, turns = (10, 1) if quick else (STEPS // 2, TURNS)
    gate, reached = asyncio.Event(), asyncio.Semaphore(0)
    agent = chain_agent(tools)
    agent.model = _gated(agent.model, tools, gate, reached)
    app = App("bench")
    app.task("long", agent=agent, stream=False, usage_limits=UNLIMITED)
    bare, resumed = list[float](), list[float]()
    held_ms = 0.0
    async with place.services(app) as services, place.gear() as gear:
        runs = await queue_runs(services, "long", turns + 1)
        await _until_the_last_step(app, gear, place, reached, len(runs))
        gate.set()
        settings = place.settings(slots=1)
        held_ms = await _longest_hold(lambda: _only(app, gear, settings, runs[0], place))
        for run in runs[1:]:
            bare.append((await spent(lambda: agent.run("hi", usage_limits=UNLIMITED))).cpu_s)
            resumed.append((await spent(lambda run=run: _only(app, gear, settings, run, place))).cpu_s)
    note = f"{2 * tools} steps: bare {1000 * min(bare):.0f} ms, resumed {1000 * min(resumed):.0f} ms"
    return [
        Row(name="resuming a run of 400 steps, CPU ÷ bare", measured=ratios(resumed, bare), bar=1.0, note=note),
        Row(name="resuming: the event loop held, longest", measured=held_ms, unit="ms", bar=50, note="CPU time"),
    ]


def _gated(model: Any, tools: int, gate: asyncio.Event, reached: asyncio.Semaphore) -> FunctionModel:
    async def ask(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        count = len(messages) // 2
        if count < tools:
            return ModelResponse(parts=[ToolCallPart("look_up", {"item": count}, tool_call_id=f"call{count}")])
        reached.release()
        await gate.wait()
        return ModelResponse(parts=[TextPart("done")])

    return FunctionModel(ask, model_name=model.model_name)


async def _until_the_last_step(app: App, gear: Gear, place: Place, reached: asyncio.Semaphore, count: int) -> None:
    worker = Worker(app, gear, place.settings(slots=count))
    working = asyncio.create_task(worker.run())
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(count):
            await reached.acquire()
    worker.stop()
    await working


async def _only(app: App, gear: Gear, settings: Any, run: UUID, place: Place) -> None:
    """Carry this run on; the others wait for their turn."""
    place.execute(
        "update holdfast.runs set state = case when id = %s then 'queued' else 'parked' end, "
        "waiting_on = case when id = %s then null else 'timer' end where finished_at is null",
        run,
        run,
    )
    await work_off(app, gear, settings, [run])


async def _longest_hold(work: Callable[[], Any]) -> float:
    """The most CPU that this thread used between two turns of the loop, in ms: what others would have waited."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(watch())
    await work()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return 1000 * longest
