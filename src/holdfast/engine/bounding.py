"""What a model request may use at most, and how much its answer may still be.

The history that was sent before is as large as the provider said it was; what is new has at most as many tokens as
bytes. An answer is told how many tokens are left, where a limit leaves fewer than it might take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from holdfast.domain import events as ev
from holdfast.engine.codec import dump_json, dump_message
from holdfast.engine.errors import ModelUnpriced
from holdfast.guards.prices.bound import Bound

if TYPE_CHECKING:
    from holdfast.engine.limiting import Limiting
    from holdfast.engine.recorder import Recorder

LEAST_ANSWER = 256
"""Tokens below which no answer is asked for: cut so short it would be of no use, and be paid for."""


class Bounded(NamedTuple):
    """A request whose use is bounded."""

    settings: ModelSettings | None
    bound: ev.Usage | None = None
    usd_micros: int = 0
    cut_by: str | None = None
    """The limit that leaves its answer less than it would have been given without."""


def bounded(
    recorder: Recorder,
    limiting: Limiting,
    model: Model,
    messages: Sequence[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
) -> Bounded:
    """A request as it is to be sent under the run's limits.

    Raises:
        ModelUnpriced: money is limited, and what it might cost is not known.
    """
    if not limiting.bounds_tokens:
        return Bounded(settings)
    said: dict[str, Any] = {**(settings or {})}
    models = list(_asked(model))  # each of a chain may be sent all of it, and may answer
    asked, each = input_bound(messages, parameters) * len(models), len(models)
    thinking = thinking_tokens(said)
    wanted = said.get("max_tokens") or _own_most(models) or recorder.task.max_output_tokens + thinking
    price = _price(recorder, models, parameters) if "cost_usd" in limiting.ceilings else None
    room: dict[str, int] = {}
    if (left := limiting.left("output_tokens")) is not None:
        room["output_tokens"] = left // each
    if (left := limiting.left("tokens")) is not None:
        room["tokens"] = (left - asked) // each
    if price is not None and (left := limiting.left("cost_usd")) is not None:
        room["cost_usd"] = price.tokens_for(left, asked)
    tightest = min(room, key=room.__getitem__, default=None)
    answer = wanted if tightest is None else min(wanted, room[tightest])
    if answer < min(LEAST_ANSWER + thinking, wanted):
        answer = wanted  # it is held against the limits with all that it might take, and not begun
    return Bounded(
        cast("ModelSettings", {**said, "max_tokens": answer}),
        ev.Usage(input_tokens=asked, output_tokens=answer * each),
        0 if price is None else price.usd_micros(asked, answer * each),
        tightest if answer < wanted else None,
    )


class _Price(NamedTuple):
    """What a request costs at most, though every model of a chain is asked and paid."""

    bounds: Sequence[Bound]
    server_tools: int

    def usd_micros(self, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost, shared out evenly over all of them."""
        each = len(self.bounds)
        found = (one.usd_micros(input_tokens // each, output_tokens // each, self.server_tools) for one in self.bounds)
        return sum(one for one in found if one is not None)

    def tokens_for(self, money: int, asked: int) -> int:
        """How many tokens of an answer of each so many micro-dollars pay for."""
        rate = sum(one.output_mtok for one in self.bounds)
        rest = Decimal(money - self.usd_micros(asked, 0) - len(self.bounds))  # each may be rounded up
        return int(rest / rate) if rate else _ALL


_ALL = 2**31


def _price(recorder: Recorder, models: Sequence[Model], parameters: ModelRequestParameters) -> _Price:
    uses = len(parameters.native_tools) and recorder.task.server_tools
    if uses is None:
        raise ModelUnpriced(
            "Its money is limited and its model may use tools of the provider's, nobody can say how often. Give "
            "Limits(server_tools=...), the most uses in one request."
        )
    found = list[Bound]()
    for model in models:
        bound = recorder.gear.prices.bound(
            model.model_name, recorder.gear.now(), provider=model.system, url=model.base_url or ""
        )
        if bound is None or bound.usd_micros(0, 0, uses) is None:
            raise ModelUnpriced(
                f"Its money is limited, and what '{model.model_name}' costs is not known. Give its price in [[prices]] "
                "of holdfast.toml; docs/costs.md says how."
            )
        found.append(bound)
    return _Price(found, uses)


def thinking_tokens(settings: Mapping[str, Any]) -> int:
    """What a model may think before it answers, as far as settings say: it is part of what an answer may have.

    Providers refuse an answer that is shorter than the thinking they were told to allow.
    """
    found = 0
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found = max(found, thinking_tokens(cast("Mapping[str, Any]", value)))
        elif name in _THINKING and isinstance(value, int) and not isinstance(value, bool):
            found = max(found, value)
    return found


_THINKING = frozenset({"budget_tokens", "thinking_budget"})


def _asked(model: Model) -> Iterator[Model]:
    """The models that a request may go to."""
    if isinstance(model, WrapperModel):
        yield from _asked(model.wrapped)
    elif isinstance(model, FallbackModel):
        for one in model.models:
            yield from _asked(one)
    else:
        yield model


def _own_most(models: Iterable[Model]) -> int | None:
    """What models themselves say of the length of their answers."""
    found = (cast("dict[str, Any]", {**(model.settings or {})}).get("max_tokens") for model in models)
    return min((one for one in found if one), default=None)


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
