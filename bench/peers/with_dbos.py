"""pydantic-ai on DBOS. Run by the interpreter of its own environment; prints one JSON object per figure.

python with_dbos.py URL TOOLS RUNS AT_ONCE STEPS
"""

import asyncio
import json
import resource
import sys
import time

from dbos import DBOS
from pydantic_ai import Agent
from pydantic_ai.durable_exec.dbos import DBOSDurability
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

URL, TOOLS, RUNS, AT_ONCE, STEPS = sys.argv[1], *map(int, sys.argv[2:6])
DBOS(config={"name": "bench", "system_database_url": URL, "run_admin_server": False, "log_level": "ERROR"})


def model(messages, _info):
    count = sum(isinstance(message, ModelResponse) for message in messages)
    if count < TOOLS:
        return ModelResponse(parts=[ToolCallPart("look_up", {"item": count}, tool_call_id=f"call{count}")])
    return ModelResponse(parts=[TextPart("done and dusted")])


agent = Agent(FunctionModel(model, model_name="in-memory"), name="bench", capabilities=[DBOSDurability()])


@agent.tool_plain
@DBOS.step()
async def look_up(item: int) -> str:
    """Look up an item."""
    return f"item {item}: " + "x" * 40


@DBOS.workflow()
async def run_agent(prompt: str) -> str:
    return (await agent.run(prompt)).output


@DBOS.step()
async def nothing(step: int) -> int:
    return step


@DBOS.workflow()
async def run_nothing(steps: int) -> None:
    for step in range(steps):
        await nothing(step)


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(name, act, runs, at_once, steps):
    """`steps` are those of one run."""
    left = iter(range(runs))

    async def carry():
        for _ in left:
            await act()

    cpu, wall = cpu_s(), time.perf_counter()
    await asyncio.gather(*(carry() for _ in range(at_once)))
    cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
    done = runs * steps
    print(json.dumps({"name": name, "steps": done, "steps_per_s": done / wall, "cpu_ms_per_step": 1000 * cpu / done}))


async def main():
    await run_agent("warm")
    await measure("agent", lambda: run_agent("hi"), RUNS, AT_ONCE, 2 * TOOLS + 1)
    await run_nothing(2)
    await measure("no-op", lambda: run_nothing(STEPS), AT_ONCE, AT_ONCE, STEPS)


DBOS.launch()
asyncio.run(main())
DBOS.destroy()
