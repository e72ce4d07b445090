"""The agents that are measured: a model in memory that asks for one tool after another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from holdfast import effect

TOOLS = 15
STEPS = 2 * TOOLS + 1
"""Tool calls, and one model request more than that."""

ANSWER = "done and dusted: " + "all is well. " * 8


def chain_agent(tools: int = TOOLS, before_each: Callable[[], Awaitable[None]] | None = None) -> Agent[None, str]:
    """An agent that calls one tool `tools` times, one call after the other, and then answers.

    `before_each` is awaited before each request is answered and each call is made, unless the agent is streamed.
    """

    def asked(messages: list[ModelMessage]) -> int:
        return sum(isinstance(message, ModelResponse) for message in messages)

    # Async, so that it runs in the loop: a plain function would go to a thread, whose cost hides what is measured.
    async def model(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        if before_each is not None:
            await before_each()
        count = asked(messages)
        if count < tools:
            return ModelResponse(parts=[ToolCallPart("look_up", {"item": count}, tool_call_id=f"call{count}")])
        return ModelResponse(parts=[TextPart(ANSWER)])

    async def stream(messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[Any]:
        count = asked(messages)
        if count < tools:
            yield {0: DeltaToolCall("look_up", f'{{"item":{count}}}', tool_call_id=f"call{count}")}
            return
        for word in ANSWER.split():
            yield f"{word} "

    agent = Agent(FunctionModel(model, stream_function=stream, model_name="in-memory"))

    @agent.tool_plain
    @effect.idempotent
    async def look_up(item: int) -> str:
        """Look up an item."""
        if before_each is not None:
            await before_each()
        return f"item {item}: " + "x" * 40

    return agent
