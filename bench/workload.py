"""The agents that are measured: a model that asks for one tool after another, in memory or behind HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from httpx2 import AsyncClient
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from holdfast import effect

Output = TypeVar("Output")

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

    return _with_tool(Agent(FunctionModel(model, stream_function=stream, model_name="in-memory")), before_each)


class Typed(BaseModel):
    """An answer of a type of its own. Its agent goes by the capabilities of the seam, not by the short road."""

    text: str


def chain_agent_over_http(base_url: str, client: AsyncClient, output: type[Any] = str) -> Agent[None, Any]:
    """The same agent, whose model is a scripted provider at `base_url`, by `chain_script`."""
    # The provider's client is a second's import, and only this needs it.
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(
        output.__name__, provider=OpenAIProvider(base_url=base_url, api_key="none", http_client=client)
    )
    return _with_tool(Agent(model, output_type=output))


def chain_script(tools: int = TOOLS) -> str:
    """What the provider is to answer: the same as the model in memory, as text or as `Typed`."""
    calls = "".join(f"      - call: {{look_up: {{item: {count}}}}}\n" for count in range(tools))
    ends = {str: f"say: '{ANSWER}'", Typed: f"output: {{text: '{ANSWER}'}}"}
    scripts = "".join(f"  - model: {cls.__name__}\n    turns:\n{calls}      - {end}\n" for cls, end in ends.items())
    return f"scripts:\n{scripts}"


def _with_tool(
    agent: Agent[None, Output], before_each: Callable[[], Awaitable[None]] | None = None
) -> Agent[None, Output]:
    @agent.tool_plain
    @effect.idempotent
    async def look_up(item: int) -> str:
        """Look up an item."""
        if before_each is not None:
            await before_each()
        return f"item {item}: " + "x" * 40

    return agent
