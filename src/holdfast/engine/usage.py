"""What a call used of a run's allowance, told by the framework's own counters before and after it."""

from __future__ import annotations

from operator import attrgetter, sub
from typing import Any

from pydantic_ai.usage import RunUsage

from holdfast.domain import events as ev

usage_now = attrgetter(
    "requests", "tool_calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"
)


def used_since(usage: RunUsage, before: tuple[int, ...], *, counted: bool) -> ev.Usage | None:
    """What nested runs added to the run's usage. With siblings under way only what is attributed can be told."""
    after = usage_now(usage)
    # The call itself is counted by the framework, at replay too; an inner one only after this.
    requests, tool_calls = after[0] - before[0], after[1] - before[1] - counted
    if requests <= 0 and tool_calls <= 0:
        return None
    input_, output, cache_read, cache_write = map(sub, after[2:], before[2:])
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
    return ev.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        requests=getattr(usage, "requests", 1),
        tool_calls=getattr(usage, "tool_calls", 0),
        details=dict(usage.details),
    )
