"""From what a model answered to what it cost, as a fact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, cast

from pydantic_ai.exceptions import ModelHTTPError

from holdfast.domain import events as ev
from holdfast.engine.usage import is_measured
from holdfast.guards.prices import Answered
from holdfast.guards.prices.catalogue import CONTEXT, kinds

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.usage import RequestUsage

    from holdfast.guards.prices import PriceBook

UNFINISHED = "an answer that did not come to its end"
_MOST_USD = Decimal(10**9)
"""No request costs more, nor less than nothing: whoever says so has said nothing. Sums of it would fit nowhere."""
_NOT_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ConnectionRefusedError"}
)
"""Errors, by the names that HTTP clients give them, after which nothing was sent."""


def cost_of(book: PriceBook, response: ModelResponse, asked: str) -> ev.Cost:
    """What a response cost. To be asked as it comes from the model: the framework fills its own estimate in later."""
    details = response.provider_details or {}
    answered = Answered(
        model=response.model_name or asked,
        asked=asked,
        provider=response.provider_name or "",
        url=response.provider_url or "",
        at=response.timestamp.astimezone(UTC),
        usage=_counted(response.usage),
        measured=is_measured(response.usage),
        context={name: value for name in CONTEXT if isinstance(value := details.get(name), str)},
        reported=_reported(response.usage, details),
        total=response.usage.details.get("total_tokens"),
    )
    return book.cost(answered)


def cost_of_attempt(book: PriceBook, model: str, provider: str, at: datetime, usage: RequestUsage) -> ev.Cost:
    """What an answer cost of which only the usage is known."""
    measured = is_measured(usage)
    answered = Answered(model=model, provider=provider, at=at, usage=_counted(usage), measured=measured)
    return book.cost(answered)


def cost_of_failure(book: PriceBook, error: BaseException, asked: str, begun: ModelResponse | None) -> ev.Cost | None:
    """What a request may have cost that came to nothing; None: the provider refused it, or never saw it.

    Args:
        book: the prices.
        error: why it came to nothing.
        asked: the model.
        begun: as much of an answer as had come.
    """
    if begun is None and (isinstance(error, ModelHTTPError) or _was_not_sent(error)):
        return None
    if begun is None or not _counted(begun.usage):
        return ev.Cost(unpriced=[UNFINISHED])
    known = cost_of(book, begun, asked)
    # Providers tell what an answer took at its end, and what was sent for it sometimes at its beginning.
    return replace(known, unpriced=[*known.unpriced, UNFINISHED])


def together(found: Iterable[ev.Cost]) -> ev.Cost | None:
    """The cost of several requests that made one response; None: there were none."""
    costs = list(found)
    if len(costs) <= 1:
        return costs[0] if costs else None
    last, of_kinds = costs[-1], dict[str, int]()
    for cost in costs:
        for kind, count in cost.kinds.items():
            of_kinds[kind] = of_kinds.get(kind, 0) + count
    priced = [cost.usd_micros for cost in costs if cost.usd_micros is not None]
    reported = [cost.reported_usd_micros for cost in costs if cost.reported_usd_micros is not None]
    unpriced = [what for cost in costs for what in cost.unpriced]
    return ev.Cost(
        usd_micros=sum(priced) if priced else None,
        unpriced=list(dict.fromkeys(unpriced)),
        source=last.source,
        since=last.since,
        on=last.on,
        kinds=of_kinds,
        reported_usd_micros=sum(reported) if len(reported) == len(costs) else None,
        differs=[what for cost in costs for what in cost.differs],
    )


def _counted(usage: RequestUsage) -> dict[str, Decimal]:
    if not is_measured(usage):
        return {}
    known = kinds()
    return {
        kind: Decimal(count) if isinstance(count, int) else Decimal(str(count))
        for kind, count in vars(usage).items()
        if count and kind in known
    }


def _reported(usage: RequestUsage, details: Mapping[str, Any]) -> Decimal | None:
    if usage.cost is not None:
        return _amount(usage.cost)
    found = _amount(details.get("cost"))
    if found is not None and details.get("is_byok") and (upstream := _amount(details.get("upstream_inference_cost"))):
        # Under a key of one's own the upstream provider sends a bill of its own.
        return found + upstream
    return found


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found <= _MOST_USD else None


def _was_not_sent(error: BaseException) -> bool:
    seen, at = set[int](), cast("BaseException | None", error)
    while at is not None and id(at) not in seen:
        if type(at).__name__ in _NOT_SENT:
            return True
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return False
