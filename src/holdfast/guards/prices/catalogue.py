"""The prices that come along: genai-prices, as this release of it was installed. Nothing is fetched.

Loading takes a second of CPU, once in a process, at the first question or at `load`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from holdfast.guards.prices.rates import Rates

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, Provider
    from genai_prices.units import UnitDef, UnitRegistry

CONTEXT = ("service_tier", "processing", "speed", "route", "search_type")
"""What of a response chooses between prices of one model."""


@dataclass(slots=True)
class Entry:
    """One model in the catalogue."""

    provider: Provider
    model: ModelInfo
    source: str
    """Where it stands."""
    _known: dict[int, Rates] = field(default_factory=dict[int, Rates])

    def since(self, at: datetime) -> str:
        """The day from which the price that holds at that moment holds; '' where that is not known."""
        from genai_prices.types import StartDateConstraint

        if isinstance(self.model.prices, list):
            for one in reversed(self.model.prices):
                if one.constraint is not None and one.constraint.active(at):
                    return (
                        one.constraint.start_date.isoformat() if isinstance(one.constraint, StartDateConstraint) else ""
                    )
        return ""

    def rates(self, at: datetime, context: Mapping[str, str]) -> Rates:
        """What holds at that moment for a response of these circumstances."""
        # As the catalogue does itself: what another provider's entry says of tiers is not said of this one's.
        if context and self.model.price_variants and any(self.model is one for one in self.provider.models):
            return Rates(self.model.get_prices(at, context))
        price = self.model.get_prices(at)
        found = self._known.get(id(price))
        if found is None:
            found = self._known[id(price)] = Rates(price)
        return found

    def knows(self, context: Mapping[str, str], name: str) -> bool:
        """Whether a price is told apart by what the response says under this name."""
        return any(variant.when.get(name) == context.get(name) for variant in self.model.price_variants or ())

    def all_rates(self, at: datetime) -> Iterator[Rates]:
        """All that may hold at that moment, whatever the circumstances."""
        yield self.rates(at, {})
        for variant in self.model.price_variants or ():
            if variant.constraint is None or variant.constraint.active(at):
                yield Rates(variant.prices)
        if isinstance(self.model.prices, list):
            from genai_prices.types import TimeOfDateConstraint

            for one in self.model.prices:
                if isinstance(one.constraint, TimeOfDateConstraint):
                    yield Rates(one.prices)


def load() -> None:
    """Read the catalogue now, rather than at the first question."""
    _snapshot()


@lru_cache(maxsize=4096)
def find(names: tuple[str, ...], provider: str, url: str) -> Entry | None:
    """The entry of a model by one of these names, at this address or, where that says nothing, at this provider."""
    from genai_prices import __version__

    for name in names:
        for id_, address in ((None, url or None), (provider or None, None)):
            if id_ or address:
                try:
                    serving, model = _snapshot().find_provider_model(name, None, id_, address)
                except LookupError:
                    continue
                return Entry(serving, model, f"genai-prices {__version__}: {serving.id}/{model.id}")
    return None


def rates_of(units: Mapping[str, Decimal]) -> Rates:
    """Prices by the names of their units."""
    from genai_prices.types import ModelPrice

    return Rates(ModelPrice(**dict(units)))


@cache
def kinds() -> frozenset[str]:
    """The kinds of usage that there may be prices for."""
    return frozenset(_registry().units) - {"requests"}


def unit_of_price(name: str) -> UnitDef:
    """What a price is for."""
    return _registry().unit_for_price_key(name)


def unit_of_kind(kind: str) -> UnitDef | None:
    """What is counted under this name."""
    return _registry().units.get(kind)


def is_part(kind: str, other: str) -> bool:
    """Whether what is counted as the one is counted as the other too."""
    return other in _registry().ancestor_usage_keys(kind)


@cache
def _snapshot() -> DataSnapshot:
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    # One of our own: an application may have its process's snapshot updated from the network.
    return DataSnapshot(providers=providers, from_auto_update=False)


@cache
def _registry() -> UnitRegistry:
    from genai_prices.data_units import unit_data
    from genai_prices.units import UnitRegistry

    return UnitRegistry(unit_data)
