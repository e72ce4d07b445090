"""The application that worker processes of the bench serve. It tells the time of what happens in a file.

Each line of the file named by HOLDFAST_BENCH_TALES is `<what> <attempt> <pid> <nanoseconds since the epoch>`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from holdfast import App, effect

TALES = "HOLDFAST_BENCH_TALES"
BEAT_S = "HOLDFAST_BENCH_BEAT_S"
_HELD_S = 600.0


def tell(what: str, attempt: int = 1) -> None:
    """Write down that this happens now."""
    line = f"{what} {attempt} {os.getpid()} {time.time_ns()}\n"
    descriptor = os.open(os.environ[TALES], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line.encode())
    os.close(descriptor)


async def answer(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Answer at once, and tell when it was asked."""
    tell(prompt_of(messages))
    return ModelResponse(parts=[TextPart("done")])


async def hold_then_answer(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Call `hold` once, then answer."""
    if len(messages) == 1:
        return ModelResponse(parts=[ToolCallPart("hold", {"what": prompt_of(messages)}, tool_call_id="hold")])
    return ModelResponse(parts=[TextPart("done")])


def prompt_of(messages: list[ModelMessage]) -> str:
    """The text that the run was started with."""
    first = messages[0]
    assert isinstance(first, ModelRequest)
    return next(str(part.content) for part in first.parts if isinstance(part, UserPromptPart))


quick_agent = Agent(FunctionModel(answer, model_name="in-memory"))
held_agent = Agent(FunctionModel(hold_then_answer, model_name="in-memory"))


@held_agent.tool_plain
@effect.idempotent
async def hold(what: str) -> str:
    """The first attempt never ends by itself; the next one returns at once."""
    attempt = effect.current().attempt
    tell(what, attempt)
    if attempt == 1:
        await asyncio.sleep(_HELD_S)
    return "held"


async def keep_beating(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Call `beat`, again and again."""
    return ModelResponse(parts=[ToolCallPart("beat", {}, tool_call_id=f"beat-{len(messages)}")])


beating_agent = Agent(FunctionModel(keep_beating, model_name="in-memory"))


@beating_agent.tool_plain
@effect.pure
async def beat() -> str:
    """Tell that it was called, and take a while."""
    tell("beat")
    await asyncio.sleep(random.uniform(1, 2) * float(os.environ.get(BEAT_S, "4")))
    return "beaten"


app = App("bench")
app.task("quick", agent=quick_agent, stream=False)
app.task("held", agent=held_agent, stream=False)
app.task("beating", agent=beating_agent, stream=False, loops=None)  # it is one, and is to be
