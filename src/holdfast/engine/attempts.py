"""Attempts at one model request that came to nothing before another model answered, or before all had failed.

A `FallbackModel` makes them inside a single request, as the framework wraps it whole; it names them on the response,
or on the error. Here they become facts: which model, and why not. What a provider wrote stays sealed content.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, cast

from pydantic_ai.exceptions import ModelHTTPError

from holdfast.domain import events as ev
from holdfast.engine.pricing import UNFINISHED, cost_of_attempt
from holdfast.engine.usage import as_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_ai.messages import ModelRequestAttempt

    from holdfast.guards.prices import PriceBook


def failed_attempts(book: PriceBook, attempts: Sequence[ModelRequestAttempt] | None) -> list[ev.FailedAttempt]:
    """The attempts as facts, in order."""
    return [
        ev.FailedAttempt(
            model=attempt.model_name,
            provider=attempt.provider_name or "",
            outcome=attempt.outcome,
            error=(attempt.error or "").partition(":")[0],
            latency_ms=round(1000 * attempt.duration.total_seconds()),
            usage=None if attempt.usage is None else as_usage(attempt.usage),
            cost=_cost(book, attempt),
        )
        for attempt in attempts or ()
    ]


def _cost(book: PriceBook, attempt: ModelRequestAttempt) -> ev.Cost | None:
    if attempt.usage is not None:
        at = attempt.timestamp + attempt.duration
        return cost_of_attempt(book, attempt.model_name, attempt.provider_name or "", at.astimezone(UTC), attempt.usage)
    refused = (attempt.error or "").startswith(ModelHTTPError.__name__)
    return None if refused else ev.Cost(unpriced=[UNFINISHED])


def attempts_of(error: BaseException) -> Sequence[ModelRequestAttempt]:
    """The attempts that an error names."""
    return getattr(error, "attempts", ())


def explained(error: BaseException) -> str:
    """What an error says, and what those say that a group of errors only counts."""
    attempts = attempts_of(error)
    if attempts:
        said = [f"{attempt.model_name}: {attempt.error or 'its response was rejected'}" for attempt in attempts]
    elif isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        said = [f"{type(one).__qualname__}: {explained(one)}" for one in group.exceptions]
    else:
        return str(error)
    return f"{error}: {'; '.join(said)}"
