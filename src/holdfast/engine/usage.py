"""What was used: of a run's allowance by a call, told by the framework's own counters before and after it; and what
providers say of a request, which may be no number that can be counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter, sub
from typing import Any

from pydantic_ai.usage import RequestUsage, RunUsage

from holdfast.domain import events as ev

usage_now = attrgetter(
    "requests", "tool_calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"
)


_TOKENS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "output_reasoning_tokens",
    "input_audio_tokens", "cache_audio_read_tokens", "output_audio_tokens",
)  # fmt: skip
_tokens = attrgetter(*_TOKENS)
_WHOLE = {int}
_NO_MORE = {"input_tokens", "output_tokens", "cost", "details", "unmeasured_requests"}
_MOST = 10**12
"""Tokens that no request can have used. What is more is no count, and sums of it would fit nowhere."""


def is_measured(usage: RequestUsage) -> bool:
    """Whether the provider said what was used: an answer that took nothing is one of which it did not."""
    said = [usage.input_tokens, usage.output_tokens]
    counts = all(0 <= count <= _MOST for count in said) and all(abs(count) <= _MOST for count in _more(usage))
    return not usage.unmeasured_requests and counts and (any(said) or any(_more(usage)))


def tokens_of(usage: RequestUsage) -> int:
    """Input and output together."""
    return whole(usage.input_tokens) + whole(usage.output_tokens)


def _more(usage: RequestUsage) -> Iterator[float]:
    """What it counts beside tokens in and out, or as a part of those."""
    return (count for name, count in vars(usage).items() if name not in _NO_MORE)


def _details(usage: Any) -> dict[str, int]:
    # Where a provider leaves one out, some models put nothing in its place.
    return {name: whole(count) for name, count in usage.details.items() if count is not None}


def whole(count: float) -> int:
    """A count as it can be added up. What is no number at all is none."""
    if type(count) is int and 0 <= count <= _MOST:
        return count
    # Not every provider counts in whole tokens; what budgets and journals count are.
    return 0 if math.isnan(count) else math.ceil(max(-_MOST, min(count, _MOST)))


def in_whole(usage: RequestUsage) -> RequestUsage:
    """The same in whole tokens: what the framework could not read again, once it is stored, were it of others."""
    if {*map(type, _tokens(usage)), *map(type, usage.details.values())} <= _WHOLE:
        return usage
    counts = {name: whole(count) for name, count in zip(_TOKENS, _tokens(usage), strict=True)}
    return replace(usage, **counts, details=_details(usage))


def used_since(usage: RunUsage, before: tuple[int, ...], *, counted: bool) -> ev.Usage | None:
    """What nested runs added to the run's usage. With siblings under way only what is attributed can be told."""
    after = usage_now(usage)
    # The call itself is counted by the framework, at replay too; an inner one only after this.
    requests, tool_calls = after[0] - before[0], after[1] - before[1] - counted
    if requests <= 0 and tool_calls <= 0:
        return None
    input_, output, cache_read, cache_write = map(whole, map(sub, after[2:], before[2:]))
    return ev.Usage(
        input_tokens=input_,
        output_tokens=output,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        requests=requests,
        tool_calls=max(tool_calls, 0),
    )


def use_again(usage: RunUsage, used: ev.Usage | None) -> None:
    """Count what a recorded call used, as the framework did when it was performed."""
    if used is None:
        return
    usage.incr(
        RunUsage(
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cache_read_tokens=used.cache_read_tokens,
            cache_write_tokens=used.cache_write_tokens,
            requests=used.requests,
            tool_calls=used.tool_calls,
        )
    )


def as_usage(usage: Any) -> ev.Usage:
    """The framework's usage of one request, or of a nested run, as a fact."""
    if isinstance(usage, RequestUsage) and not is_measured(usage):
        return ev.Usage(requests=1)
    return ev.Usage(
        input_tokens=whole(usage.input_tokens),
        output_tokens=whole(usage.output_tokens),
        cache_read_tokens=whole(usage.cache_read_tokens),
        cache_write_tokens=whole(usage.cache_write_tokens),
        requests=getattr(usage, "requests", 1),
        tool_calls=getattr(usage, "tool_calls", 0),
        details=_details(usage),
    )
