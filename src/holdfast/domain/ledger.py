"""What an event adds to the ledger: the one rule by which rows are written and by which they are checked.

A row of the ledger stands for one run, one day and one model or tool. Its amounts are sums over events, so that
whoever adds up what `lines_of` says of a journal has the rows of its run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from holdfast.domain.events import AnyEvent, Cost
from holdfast.domain.events.calls import OutputProcessed, ToolFinished
from holdfast.domain.events.models import FailedAttempt, ModelFailed, ModelRequested, ModelResponded
from holdfast.domain.events.runs import RunCancelled, RunFailed, RunSucceeded

Kind: TypeAlias = Literal["model", "tool", "run"]


class Amounts(NamedTuple):
    """What is added up."""

    cost_usd_micros: int = 0
    unpriced: int = 0
    """Steps of which something is not in the cost, for want of a price: with any, the cost is a lower bound."""
    times: int = 0
    """Requests to the model, calls of the tool."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    """Part of the input, as are those written to a cache."""
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    """Part of the output."""
    audio_tokens: int = 0
    """Part of input and output, as are those of images."""
    image_tokens: int = 0
    server_tools: int = 0
    """Uses of tools that the provider runs itself, such as a web search."""
    compute_ms: int = 0
    """How long a worker had the steps under way."""
    bytes: int = 0
    """Of events and content that were stored in the same commits."""

    def plus(self, more: Amounts) -> Amounts:
        """Both together."""
        return Amounts(*map(int.__add__, self, more))


class Line(NamedTuple):
    """What one event adds to one row."""

    kind: Kind
    name: str
    """Of the model or the tool."""
    amounts: Amounts


_SERVER_TOOLS = frozenset({"web_searches", "social_searches", "storage_searches", "code_executions"})


def lines_of(event: AnyEvent) -> Iterable[Line]:
    """What this event adds; most add nothing."""
    rule = _RULES.get(type(event))
    return () if rule is None else rule(event)


def amounts_of(cost: Cost, compute_ms: int = 0) -> Amounts:
    """One step that cost this."""
    unpriced = 1 if cost.usd_micros is None or cost.unpriced else 0
    if not cost.kinds:  # as of nearly every tool
        return Amounts(cost.usd_micros or 0, unpriced, 1, compute_ms=compute_ms)
    of = cost.kinds.get
    return Amounts(
        cost_usd_micros=cost.usd_micros or 0,
        unpriced=unpriced,
        times=1,
        input_tokens=of("input_tokens", 0),
        output_tokens=of("output_tokens", 0),
        cache_read_tokens=of("cache_read_tokens", 0),
        cache_write_tokens=of("cache_write_tokens", 0),
        reasoning_tokens=of("output_reasoning_tokens", 0),
        audio_tokens=of("input_audio_tokens", 0) + of("output_audio_tokens", 0),
        image_tokens=of("input_image_tokens", 0) + of("output_image_tokens", 0),
        server_tools=sum(cost.kinds[kind] for kind in _SERVER_TOOLS & cost.kinds.keys()),
        compute_ms=compute_ms,
    )


def known_micros(costs: Iterable[Cost]) -> int | None:
    """The sum of what is known of these; None: nothing is."""
    known = [cost.usd_micros for cost in costs if cost.usd_micros is not None]
    return sum(known) if known else None


def _asked(event: ModelRequested) -> Iterable[Line]:
    return _unanswered([event.model] * event.unanswered)


def _answered(event: ModelResponded) -> Iterable[Line]:
    if event.cost is not None:
        yield Line("model", event.model, amounts_of(event.cost, event.latency_ms))
    yield from _tried(event.failed)


def _failed(event: ModelFailed) -> Iterable[Line]:
    if event.cost is not None:
        yield Line("model", event.model, amounts_of(event.cost, event.latency_ms))
    yield from _tried(event.failed)


def _tried(failed: Iterable[FailedAttempt]) -> Iterable[Line]:
    for attempt in failed:
        if attempt.cost is not None:
            yield Line("model", attempt.model, amounts_of(attempt.cost))


def _called(event: ToolFinished) -> Iterable[Line]:
    amounts = amounts_of(event.cost or _FREE, event.latency_ms)
    yield Line("tool", event.tool, amounts)


def _processed(event: OutputProcessed) -> Iterable[Line]:
    if event.cost is not None:
        yield Line("tool", event.name, amounts_of(event.cost))


def _ended(event: RunSucceeded | RunFailed | RunCancelled) -> Iterable[Line]:
    return _unanswered(event.unanswered)


def _unanswered(models: Iterable[str]) -> Iterable[Line]:
    return [Line("model", model, Amounts(unpriced=1, times=1)) for model in models]


_FREE = Cost(usd_micros=0)
"""A tool that says nothing of money costs none of it."""

_RULES: dict[type[Any], Callable[[Any], Iterable[Line]]] = {
    ModelRequested: _asked,
    ModelResponded: _answered,
    ModelFailed: _failed,
    ToolFinished: _called,
    OutputProcessed: _processed,
    RunSucceeded: _ended,
    RunFailed: _ended,
    RunCancelled: _ended,
}
