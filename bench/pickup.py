"""From the request to start a run until an idle worker process performs its first step."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from bench.meter import percentile
from bench.place import queue_runs
from bench.processes import workers_of
from bench.row import Row
from bench.served import app

if TYPE_CHECKING:
    from bench.place import Place

SAMPLES = 400
_PAUSE_S = 0.01


async def rows(place: Place, *, quick: bool = False) -> list[Row]:
    """Median and 99th percentile, one run after another."""
    samples = 5 if quick else SAMPLES
    asked, accepted = dict[str, float](), dict[str, float]()
    with workers_of(place) as workers:
        workers.start()
        async with place.services(app) as services:
            await queue_runs(services, "quick", 1, "warm")
            await workers.tale("warm")
            for number in range(samples):
                name = f"run{number}"
                asked[name] = time.time()
                await queue_runs(services, "quick", 1, name)
                accepted[name] = time.time()
                await workers.tale(name)
                await asyncio.sleep(_PAUSE_S)
        begun = {tale.what: tale.at_s for tale in workers.tales()}
        agent_ms = await _agent_ms(samples, 1e-3 * _after_ms(begun, asked))
    waits_ms = [1000 * (begun[name] - asked[name]) for name in asked]
    accepted_ms = _after_ms(begun, accepted)
    note = (
        f"{accepted_ms:.1f} ms, less {agent_ms:.1f} ms that the agent takes alone, in memory and after as long a sleep"
    )
    in_all = f"{samples} runs, from before the request"
    return [
        Row(
            name="accepted → first step, beyond the agent's own start, p50",
            measured=accepted_ms - agent_ms,
            unit="ms",
            bar=6,
            note=note,
        ),
        Row(name="request → first step, p50", measured=median(waits_ms), unit="ms", note=in_all),
        Row(name="request → first step, p99", measured=percentile(waits_ms, 0.99), unit="ms", bar=25, note=in_all),
    ]


def _after_ms(begun: dict[str, float], since: dict[str, float]) -> float:
    return median(1000 * (begun[name] - since[name]) for name in since)


async def _agent_ms(samples: int, slept_s: float) -> float:
    """How long the same agent takes, bare, from its start to the same step."""
    began = 0.0
    took_ms: list[float] = []

    async def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        took_ms.append(1000 * (time.perf_counter() - began))
        return ModelResponse(parts=[TextPart("done")])

    agent = Agent(FunctionModel(answer, model_name="in-memory"))
    for _ in range(samples):
        await asyncio.sleep(slept_s + _PAUSE_S)
        began = time.perf_counter()
        await agent.run("hi")
    return median(took_ms)
