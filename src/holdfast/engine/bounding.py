"""What a model request may use at most, and how much its answer may still be.

The history that was sent before is as large as the provider said it was; what is new has at most as many tokens as
bytes. An answer is told how many tokens are left, where a limit or a budget leaves fewer than it might take.
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
from holdfast.domain.budgets import Shortage
from holdfast.engine.codec import dump_json, dump_message
from holdfast.engine.errors import ModelUnpriced
from holdfast.engine.usage import is_measured, tokens_of
from holdfast.guards.prices.bound import Bound
from holdfast.store.journal import Use

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder

LEAST_ANSWER = 256
"""Tokens below which no answer is asked for: cut so short it would be of no use, and be paid for."""


class Bounded(NamedTuple):
    """A request whose use is bounded."""

    settings: ModelSettings | None
    bound: ev.Usage | None = None
    usd_micros: int = 0
    cut_by: str | Shortage | None = None
    """The limit or budget that leaves its answer less than it would have been given without."""
    parts: Sequence[Use] = ()
    """What of it may be used of which model."""


def bounded(
    recorder: Recorder,
    model: Model,
    messages: Sequence[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
    short: Shortage | None = None,
) -> Bounded:
    """A request as it is to be sent under the run's limits and budgets.

    `short`, where given, has no room for as much as the request might take.

    Raises:
        ModelUnpriced: money is limited, and what it might cost is not known.
    """
    limiting = recorder.limiting
    if not ((limiting is not None and limiting.bounds_tokens) or recorder.budgeting.is_wanted):
        return Bounded(settings)
    said: dict[str, Any] = {**(settings or {})}
    models = list(asked(model))  # each of a chain may be sent all of it, and may answer
    once, each = input_bound(messages, parameters), len(models)
    sent = once * each
    thinking = thinking_tokens(said)
    wanted = said.get("max_tokens") or _own_most(models) or recorder.task.max_output_tokens + thinking
    prices = [_price(recorder, one, parameters) for one in models]
    if limiting is not None and "cost_usd" in limiting.ceilings:
        _check_priced(recorder, models, prices, parameters)
    room: dict[str | Shortage, int] = {}
    if limiting is not None:
        if (left := limiting.left("output_tokens")) is not None:
            room["output_tokens"] = left // each
        if (left := limiting.left("tokens")) is not None:
            room["tokens"] = (left - sent) // each
        if (left := limiting.left("cost_usd")) is not None:
            room["cost_usd"] = _tokens_for(left, once, prices)
    if short is not None and short.unit != "requests":
        paid = short.unit == "usd"
        room[short] = _tokens_for(short.left, once, prices) if paid else (short.left - sent) // each
    tightest = min(room, key=room.__getitem__, default=None)
    answer = wanted if tightest is None else min(wanted, room[tightest])
    if answer < min(LEAST_ANSWER + thinking, wanted):
        answer = wanted  # it is held against them with all that it might take, and not begun
    parts = [
        Use(one.model_name, one.system, price.usd_micros(once, answer), once + answer, 1)
        for one, price in zip(models, prices, strict=True)
    ]
    return Bounded(
        cast("ModelSettings", {**said, "max_tokens": answer}),
        ev.Usage(input_tokens=sent, output_tokens=answer * each),
        sum(part.usd or 0 for part in parts),
        tightest if answer < wanted else None,
        parts,
    )


class _Price(NamedTuple):
    """What one model costs at most."""

    bound: Bound | None
    server_tools: int | None

    def usd_micros(self, input_tokens: int, output_tokens: int) -> int | None:
        """So many tokens; None: nobody knows."""
        if self.bound is None or self.server_tools is None:
            return None
        return self.bound.usd_micros(input_tokens, output_tokens, self.server_tools)


def _tokens_for(money: int, asked: int, prices: Sequence[_Price]) -> int:
    """How many tokens of an answer of each model so many micro-dollars pay for, where each is asked."""
    rate = sum(price.bound.output_mtok for price in prices if price.bound is not None)
    sent = sum(price.usd_micros(asked, 0) or 0 for price in prices)
    rest = Decimal(money - sent - len(prices))  # each may be rounded up
    return int(rest / rate) if rate else _ALL


_ALL = 2**31


def _price(recorder: Recorder, model: Model, parameters: ModelRequestParameters) -> _Price:
    uses = len(parameters.native_tools) and recorder.task.server_tools
    gear = recorder.gear
    bound = gear.prices.bound(model.model_name, gear.now(), provider=model.system, url=model.base_url or "")
    return _Price(bound, uses)


def _check_priced(
    recorder: Recorder, models: Sequence[Model], prices: Sequence[_Price], parameters: ModelRequestParameters
) -> None:
    if parameters.native_tools and recorder.task.server_tools is None:
        raise ModelUnpriced(
            "Its money is limited and its model may use tools of the provider's, nobody can say how often. Give "
            "Limits(server_tools=...), the most uses in one request."
        )
    for model, price in zip(models, prices, strict=True):
        if price.usd_micros(0, 0) is None:
            raise unpriced(model.model_name)


def unpriced(model: str) -> ModelUnpriced:
    """The error of a run whose money is limited, and whose model nobody has a price for."""
    return ModelUnpriced(
        f"Its money is limited, and what '{model}' costs is not known. Give its price in [[prices]] of holdfast.toml; "
        "docs/costs.md says how."
    )


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


def asked(model: Model) -> Iterator[Model]:
    """The models that a request may go to."""
    if isinstance(model, WrapperModel):
        yield from asked(model.wrapped)
    elif isinstance(model, FallbackModel):
        for one in model.models:
            yield from asked(one)
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
        known = tokens_of(response.usage) if is_measured(response.usage) else 0
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
