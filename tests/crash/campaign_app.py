"""The application of the budget campaign: agents that ask other agents, several at once, and tools that cost.

What a run does is said by its model (`campaign_model.py`). Branches may fail, and their run goes on without them; a
failure of the run's own agent ends it.
"""

import os
from collections.abc import AsyncIterable, Sequence
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

import holdfast
from holdfast import App, effect

PRICES = """
[[prices]]
model = "small"
input = 1
output = 4

[[prices]]
model = "large"
input = 10
output = 50
cache_read = 1
cache_write = 14

[[prices]]
model = "caching"
input = 3
output = 15
cache_read = 0.3
cache_write = 3.75
"""
"""What `holdfast.toml` says; writing a cache is the dearest that input can be."""
MODELS = ("small", "large", "caching")
ANSWERS = {"wide": (300, 700), "deep": (1200, 450), "strict": (200, 350)}
"""How long answers of a task's own agent and of its branches may be, in tokens."""
FEE, SURCHARGE = 3_000, 4_500
"""Micro-dollars: what `look` says that it costs, and what `dig` charges without having said it."""

# Each request of a client's is one of its provider's: what a client sends again by itself no journal knows of.
_client = AsyncOpenAI(
    base_url=os.environ.get("CRASH_MODEL_URL", "http://127.0.0.1:1/v1"), api_key="test", max_retries=0, timeout=60
)


def model(name: str) -> OpenAIChatModel:
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=_client))


@holdfast.costs("0.003")
@effect.idempotent
async def look(n: int) -> str:
    return f"look {n} " + "x" * (n % 700)


@effect.idempotent
async def dig(n: int) -> str:
    holdfast.charge("0.0045")
    return f"dig {n}"


async def _watched(_: RunContext[Any], events: AsyncIterable[Any]) -> None:
    async for _event in events:
        pass


def task(name: str, own: str, others: str, *, streamed: bool) -> dict[str, Any]:
    """A task whose agent, on one model, asks branches on another."""
    most, most_of_branches = ANSWERS[name]
    branch = Agent(
        model(others),
        name=f"{name}-branch",
        tools=[look, dig],
        model_settings=ModelSettings(max_tokens=most_of_branches),
    )
    agent = Agent(model(own), tools=[look], model_settings=ModelSettings(max_tokens=most))

    @agent.tool
    @effect.delegate
    async def ask(ctx: RunContext[Any], topic: str) -> str:
        try:
            asked = await branch.run(topic, usage=ctx.usage, event_stream_handler=_watched if streamed else None)
        except Exception as error:  # noqa: BLE001 - the run goes on without this branch
            return f"nothing: {type(error).__name__}"
        return asked.output

    return {"agent": agent, "agents": [branch], "stream": streamed, "on_limit": "fail" if name == "strict" else "park"}


TASKS = {
    "wide": task("wide", "small", "large", streamed=False),
    "deep": task("deep", "large", "caching", streamed=True),
    "strict": task("strict", "caching", "small", streamed=True),
}


def app_of(tasks: Sequence[str], version: str = "1") -> App:
    app = App("budget-campaign")
    for name in tasks:
        app.task(name, version=version, undeclared="run", loops=None, usage_limits=None, **TASKS[name])
    return app
