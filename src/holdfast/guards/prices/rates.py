"""The prices of one model, made ready: what usage costs, and what of it has no price.

genai-prices' own arithmetic takes a fifth of a millisecond, as it takes every kind for a possible part of every other.
Nearly all usage is a few kinds of which each is part of one other at most; for these the sum is written out. All else
goes by its arithmetic, and a test holds the two together over every model that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices
    from genai_prices.units import UnitDef

    Value: TypeAlias = Decimal | TieredPrices

_ZERO = Decimal(0)
_PART_OF = {
    "cache_read_tokens": "input_tokens",
    "cache_write_tokens": "input_tokens",
    "output_reasoning_tokens": "output_tokens",
}
_PLAIN = frozenset({"input_tokens", "output_tokens", "web_searches", "storage_searches", "code_executions", *_PART_OF})
_BOTH = {
    "cache_audio_read_tokens": ("cache_read_tokens", "input_audio_tokens"),
    "cache_audio_write_tokens": ("cache_write_tokens", "input_audio_tokens"),
    "cache_image_read_tokens": ("cache_read_tokens", "input_image_tokens"),
    "cache_image_write_tokens": ("cache_write_tokens", "input_image_tokens"),
    "output_audio_reasoning_tokens": ("output_reasoning_tokens", "output_audio_tokens"),
    "output_image_reasoning_tokens": ("output_reasoning_tokens", "output_image_tokens"),
}
"""What is of two kinds at once."""
_BY_OTHER = frozenset({"durations", "characters", "messages", "pixels", "document_pages", "rerank"})
_KINDS_KEPT = 256


class Rates:
    """What one model's usage costs."""

    def __init__(self, price: ModelPrice) -> None:
        from holdfast.guards.prices.catalogue import unit_of_price

        self.price = price
        named = {name: value for name, value in vars(price).items() if value is not None and not name.startswith("_")}
        self.units: list[tuple[UnitDef, Value]] = [(unit_of_price(name), value) for name, value in named.items()]
        self._by_kind = {unit.usage_key: (unit.per, value) for unit, value in self.units}
        self._uncovered: dict[frozenset[str], list[str]] = {}

    def total(self, usage: Mapping[str, Decimal]) -> Decimal:
        """What this usage costs, in USD, as far as there is a price for it.

        Raises:
            ValueError: it contradicts itself.
        """
        if usage.keys() <= _PLAIN and _adds_up(usage):
            return self._plain(usage)
        from genai_prices.types import Usage

        # Of what is of two kinds at once providers tell when there is some.
        none = {both: _ZERO for both, parts in _BOTH.items() if both not in usage and usage.keys() >= {*parts}}
        return self.price.calc_price(Usage(**{**usage, **none}))["total_price"]

    def uncovered(self, usage: Mapping[str, Decimal]) -> list[str]:
        """The kinds of usage that have no price: neither one of their own nor one of what they are part of."""
        used = frozenset(kind for kind, count in usage.items() if count)
        found = self._uncovered.get(used)
        if found is None:
            if len(self._uncovered) >= _KINDS_KEPT:
                self._uncovered.clear()
            found = self._uncovered[used] = self._not_covered(used)
        return found

    def _plain(self, usage: Mapping[str, Decimal]) -> Decimal:
        size, amount = usage.get("input_tokens", _ZERO), _ZERO
        for kind, count in usage.items():
            own = self._by_kind.get(kind)
            if own is None or not count:
                continue
            each = _at(own, size)
            if (whole := _PART_OF.get(kind)) is not None and whole in self._by_kind:
                each -= _at(self._by_kind[whole], size)
            amount += each * count
        once = self._by_kind.get("requests")
        return amount if once is None else amount + _at(once, size)

    def _not_covered(self, used: frozenset[str]) -> list[str]:
        from holdfast.guards.prices.catalogue import is_part, unit_of_kind

        families = {unit.dimensions.get("family") for unit, _ in self.units}
        # What is paid by the hour or by the page is not paid by the token as well.
        by_other = "tokens" not in families and bool(families & _BY_OTHER)
        found = list[str]()
        for kind in sorted(used):
            unit = unit_of_kind(kind)
            if unit is None or (by_other and unit.dimensions.get("family") == "tokens"):
                continue
            if not any(one.dimensions.items() <= unit.dimensions.items() for one, _ in self.units):
                found.append(kind)
        # Of a kind and its part, the kind says it.
        return [kind for kind in found if not any(is_part(kind, other) for other in found)]


def _adds_up(usage: Mapping[str, Decimal]) -> bool:
    of = usage.get
    return (
        min(usage.values(), default=_ZERO) >= 0
        and of("cache_read_tokens", _ZERO) + of("cache_write_tokens", _ZERO) <= of("input_tokens", _ZERO)
        and of("output_reasoning_tokens", _ZERO) <= of("output_tokens", _ZERO)
    )


def _at(rate: tuple[int, Value], size: Decimal) -> Decimal:
    per, value = rate
    if isinstance(value, Decimal):
        return value / per
    # The largest size that is exceeded decides, for all tokens.
    applying = next((tier.price for tier in reversed(value.tiers) if size > tier.start), value.base)
    return applying / per


def dearest_of(value: Value) -> Decimal:
    """A price, or the dearest where it depends on the size of the request."""
    return value if isinstance(value, Decimal) else max(value.base, *(tier.price for tier in value.tiers))
