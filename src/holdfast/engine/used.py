"""From how a step ended to what it used, by model: what budgets are settled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.domain import events as ev
from holdfast.engine.usage import is_measured, tokens_of
from holdfast.store.journal import Use

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse


def of_failures(parts: Sequence[Use], failed: Sequence[ev.FailedAttempt]) -> list[Use]:
    """Of the models of a chain that were tried before another answered, or before all had failed: in its order."""
    found = list[Use]()
    for part, attempt in zip(parts, failed, strict=False):
        # Where its provider refused it there is neither usage nor a cost; where it was cut off nobody knows.
        is_known = attempt.usage is not None or attempt.cost is None
        found += _used(part, attempt.usage, attempt.cost, is_known=is_known)
    return found


def of_failure(parts: Sequence[Use], fact: ev.ModelFailed) -> list[Use]:
    """Of a request that came to nothing."""
    if fact.failed:
        return of_failures(parts, fact.failed)
    # Without a cost its provider refused it, or it never got there.
    is_known = fact.usage is not None or fact.status is not None or fact.cost is None
    return _used(parts[0], fact.usage, fact.cost, is_known=is_known)


def of_call(fact: ev.ToolFinished | ev.OutputProcessed) -> list[Use]:
    """What a call cost, whatever it did to cost that."""
    return _money(Use(), fact.cost)


def of_models_inside(fact: ev.ToolFinished) -> list[Use]:
    """What models took that a call asked past the journal."""
    usage = fact.usage
    if usage is None or not (usage.requests or usage.input_tokens or usage.output_tokens):
        return []
    # A provider may say that an answer took less than nothing: nobody gets any of that back.
    return [Use(tokens=max(0, usage.input_tokens) + max(0, usage.output_tokens), requests=usage.requests)]


class Answers:
    """What the answers to the requests of one step used. One that is asked for until it is done tells all each time."""

    def __init__(self) -> None:
        self._told: dict[object, tuple[int, int]] = {}

    def of(self, parts: Sequence[Use], response: ModelResponse, cost: ev.Cost) -> list[Use]:
        """What this one used that none before it did. The model that answered is the one after those that failed."""
        part = parts[min(len(response.failed_attempts or ()), len(parts) - 1)]
        tokens, key = tokens_of(response.usage), response.provider_response_id or object()
        before = self._told.get(key, (0, 0))
        now = self._told[key] = cost.usd_micros or 0, tokens
        used = Use(part.model, part.provider, max(0, now[0] - before[0]), max(0, now[1] - before[1]), 1)
        if not is_measured(response.usage):
            used = replace(used, tokens=None)
        return [used, *_unknown(part.model, part.provider, cost)]


def _used(part: Use, usage: ev.Usage | None, cost: ev.Cost | None, *, is_known: bool) -> list[Use]:
    # No answer takes nothing: of one that says so nobody knows what it took.
    tokens = (0 if is_known else None) if usage is None else usage.input_tokens + usage.output_tokens or None
    return _money(Use(part.model, part.provider, 0, tokens, 1), cost)


def _money(used: Use, cost: ev.Cost | None) -> list[Use]:
    if cost is None:
        return [used]
    return [replace(used, usd=cost.usd_micros or 0), *_unknown(used.model, used.provider, cost)]


def _unknown(model: str, provider: str, cost: ev.Cost) -> list[Use]:
    return [Use(model, provider, None)] if cost.usd_micros is None or cost.unpriced else []
