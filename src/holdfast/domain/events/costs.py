"""What a step cost, as it was known when the step was journaled."""

from __future__ import annotations

from dataclasses import field

from holdfast.domain.events.base import fact


@fact
class Cost:
    """What was paid. Prices that change later change nothing of it."""

    usd_micros: int | None = None
    """Millionths of a dollar, of all that has a price; None: nothing of it has."""
    unpriced: list[str] = field(default_factory=list[str])
    """What was paid for and has no known price: with it the amount is a lower bound."""
    source: str = ""
    """Where the price stands: a table of the configuration, or genai-prices with its version and entry."""
    since: str = ""
    """The day from which the price holds, where its source says so."""
    on: str = ""
    """The day for which it was looked up, in UTC."""
    kinds: dict[str, int] = field(default_factory=dict[str, int])
    """What was paid for, by kind, as genai-prices names them: kinds may be parts of others, as cached of input."""
    reported_usd_micros: int | None = None
    """What the provider says that it cost, where it says so."""
    differs: list[str] = field(default_factory=list[str])
    """Where what the provider reported does not agree with itself, or with the price."""
