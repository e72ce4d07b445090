"""Small agents for the seam's tests. Their models are scripted functions; everything else is the framework's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

Turn = Callable[[list[ModelMessage]], list[Any]]


def turns(messages: list[ModelMessage]) -> int:
    """How often the model has answered so far."""
    return sum(isinstance(message, ModelResponse) for message in messages)


def scripted(*script: list[Any] | str | Turn, seen: list[list[ModelMessage]] | None = None) -> FunctionModel:
    """A model that answers turn by turn: a string is text, a list is tool calls as `(name, args, id)`."""

    def parts(messages: list[ModelMessage]) -> list[Any]:
        if seen is not None:
            seen.append(list(messages))
        turn = script[min(turns(messages), len(script) - 1)]
        if callable(turn):
            turn = turn(messages)
        if isinstance(turn, str):
            return [TextPart(turn)]
        return [ToolCallPart(name, args, tool_call_id=call) for name, args, call in turn]

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=parts(messages))

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        for index, part in enumerate(parts(messages)):
            if isinstance(part, TextPart):
                for word in part.content.split(" "):
                    yield word + " "
            else:
                yield {
                    index: DeltaToolCall(
                        name=part.tool_name, json_args=json.dumps(part.args), tool_call_id=part.tool_call_id
                    )
                }

    return FunctionModel(answer, stream_function=stream)


def agent(*script: Any, seen: list[list[ModelMessage]] | None = None, **options: Any) -> Agent[Any, Any]:
    """An agent with a scripted model."""
    return Agent(scripted(*script, seen=seen), **options)


def sequential(count: int) -> list[Any]:
    """A script of `count` sequential calls of `step(i)`, then `done`."""
    return [[("step", {"i": i}, f"c{i}")] for i in range(count)] + ["done"]
