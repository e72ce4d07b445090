"""What a model request may use at most, and how much its answer may still be.

The history that was sent before is as large as the provider said it was; what is new has at most as many tokens as
bytes. An answer is told how many tokens are left, where a limit leaves fewer than it might take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from holdfast.domain import events as ev
from holdfast.engine.codec import dump_json, dump_message

if TYPE_CHECKING:
    from holdfast.engine.limiting import Limiting

LEAST_ANSWER = 256
"""Tokens below which no answer is asked for: cut so short it would be of no use, and be paid for."""


class Bounded(NamedTuple):
    """A request whose use is bounded."""

    settings: ModelSettings | None
    bound: ev.Usage | None = None
    cut_at: int | None = None
    """What its answer may have, where that is less than it would have been given without a limit."""


def bounded(
    limiting: Limiting | None,
    most_output: int,
    messages: Sequence[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
) -> Bounded:
    """A request as it is to be sent under the run's limits.

    Args:
        limiting: the run's; None: nothing is limited.
        most_output: of an answer, where settings say nothing.
        messages: what is sent.
        settings: as the agent has them.
        parameters: tools and output.
    """
    if limiting is None or not limiting.bounds_tokens:
        return Bounded(settings)
    asked = input_bound(messages, parameters)
    said: dict[str, Any] = {**(settings or {})}
    wanted: int = said.get("max_tokens") or most_output
    left = [one for one in (limiting.left("output_tokens"), _less(limiting.left("tokens"), asked)) if one is not None]
    answer = min([wanted, *left])
    if answer < min(LEAST_ANSWER, wanted):
        # It is held against the limits with all that it might take, and not begun.
        return Bounded(settings, ev.Usage(input_tokens=asked, output_tokens=wanted))
    given = cast("ModelSettings", {**said, "max_tokens": answer})
    return Bounded(given, ev.Usage(input_tokens=asked, output_tokens=answer), answer if answer < wanted else None)


def input_bound(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> int:
    """The most tokens that these messages can be."""
    last = next(
        (place for place in range(len(messages) - 1, -1, -1) if isinstance(messages[place], ModelResponse)), None
    )
    known, instructed = 0, None
    if last is not None:
        response = messages[last]
        assert isinstance(response, ModelResponse)
        known = response.usage.input_tokens + response.usage.output_tokens
        before = messages[last - 1] if last else None
        instructed = before.instructions if isinstance(before, ModelRequest) else None
    if not known:
        # Its provider reports nothing, or nothing was sent yet.
        last = None
        tools = [*parameters.function_tools, *parameters.output_tools]
        known = sum(
            len(tool.name) + len(tool.description or "") + len(dump_json(tool.parameters_json_schema)) for tool in tools
        )
    new = messages if last is None else messages[last + 1 :]
    latest = messages[-1] if messages else None
    instructions = latest.instructions if isinstance(latest, ModelRequest) else None
    if instructions and (last is None or instructions != instructed):
        known += len(instructions.encode())
    return known + sum(len(dump_message(one)) for one in new)


def _less(left: int | None, asked: int) -> int | None:
    return None if left is None else left - asked
