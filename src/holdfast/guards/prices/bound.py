"""What a request may cost at most."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from holdfast.domain.money import usd_micros_at_most
from holdfast.guards.prices.rates import dearest_of

if TYPE_CHECKING:
    from holdfast.guards.prices.rates import Rates

_MTOK = 1_000_000


class Bound(NamedTuple):
    """The dearest prices that may come to apply to a request, in USD: of any tier, any kind of token, any size."""

    input_mtok: Decimal
    """For a million tokens sent, whether read from a cache, written to one, spoken or seen."""
    output_mtok: Decimal
    """For a million tokens received, thinking included."""
    request: Decimal
    """For the request as such."""
    use: Decimal | None
    """For one use of the dearest of the provider's own tools; None: none of them has a price."""

    def usd_micros(self, input_tokens: int, output_tokens: int, server_tools: int = 0) -> int | None:
        """What so many tokens at most, and so many uses of the provider's tools, cost at most.

        Returns: None where that has no bound: tools may be used that have no price.
        """
        if server_tools and self.use is None:
            return None
        tokens = (self.input_mtok * input_tokens + self.output_mtok * output_tokens) / _MTOK
        return usd_micros_at_most(tokens + self.request + (self.use or 0) * server_tools)


def dearest(found: Iterable[Rates]) -> Bound | None:
    """The bound over prices of which any may apply; None where tokens of either direction have none."""
    most: dict[str, Decimal] = {}
    for rates in found:
        for unit, value in rates.units:
            family, direction = unit.dimensions.get("family"), unit.dimensions.get("direction", "")
            name = direction if family == "tokens" else str(family)
            most[name] = max(most.get(name, Decimal(0)), dearest_of(value) / unit.per)
    if not {"input", "output"} <= most.keys():
        return None
    return Bound(
        input_mtok=most["input"] * _MTOK,
        output_mtok=most["output"] * _MTOK,
        request=most.get("requests", Decimal(0)),
        use=most.get("tool_calls"),
    )
