"""The agent of `holdfast demo halt`: it looks something up for a while, and moves money once."""

from __future__ import annotations

import asyncio
import json
import os
import random
from urllib.request import Request, urlopen

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from holdfast import App, effect

PLAN = ("look_up", "issue_refund", "look_up", "look_up")
_TIMEOUT_S = 60.0


async def think(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """A model in memory that takes its time, as a provider's does."""
    await asyncio.sleep(random.uniform(0.2, 0.8))  # noqa: S311 - no secret
    done = sum(isinstance(message, ModelResponse) for message in messages)
    if done < len(PLAN):
        return ModelResponse(parts=[ToolCallPart(PLAN[done], {}, tool_call_id=f"call-{done}")])
    return ModelResponse(parts=[TextPart("It is back on your account.")])


agent = Agent(FunctionModel(think, model_name="in-memory"))


@agent.tool_plain
@effect.pure
async def look_up() -> str:
    """Look something up, slowly. It may be cut off, and done again."""
    await asyncio.sleep(random.uniform(1.0, 3.0))  # noqa: S311 - no secret
    return "found"


@agent.tool_plain
@effect.once
def issue_refund() -> str:
    """Move money: a plain function, which runs in a thread, and must not run twice."""
    request = Request(  # noqa: S310 - the demo's own bank, on loopback
        os.environ["BANK_URL"] + "/refunds",
        data=json.dumps({"payment": "taxi", "amount": "20.00"}).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": effect.key()},
        method="POST",
    )
    with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
        response.read()
    return "refunded"


app = App("demo")
app.task("refunds", agent=agent, stream=False)
