"""The price book: configured tables first, then the catalogue that comes along. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, NamedTuple

from holdfast.domain.events import Cost
from holdfast.domain.money import usd, usd_micros
from holdfast.guards.prices import catalogue
from holdfast.guards.prices.bound import Bound, dearest
from holdfast.guards.prices.contradictions import contradictions

if TYPE_CHECKING:
    from holdfast.guards.prices.rates import Rates
    from holdfast.guards.prices.table import PriceTable

_STANDARD = frozenset({"", "auto", "default", "standard", "on_demand"})
"""Service tiers that are none."""
_DIFFERS = Decimal("0.01")
"""By which part of it an amount may differ from what the provider says before that is worth telling."""

_BOUNDS_KEPT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A response, as far as its price hangs on it."""

    model: str
    """As the provider names it."""
    asked: str = ""
    """As it was asked for, where that is another name."""
    provider: str = ""
    url: str = ""
    """The address that was asked."""
    at: datetime
    usage: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """What was used, by kind as genai-prices names them."""
    measured: bool = True
    """Whether the provider said at all what was used."""
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else chooses the price, such as `service_tier`."""
    reported: Decimal | None = None
    """What the provider says that it cost, in USD."""
    total: int | None = None
    """What the provider says that all tokens are together."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it may stand under, its own name first."""
        return tuple(dict.fromkeys(name for name in (self.model, self.asked) if name))

    @property
    def tier(self) -> str:
        """The service tier; '' for the usual one."""
        found = self.context.get("service_tier", "")
        return "" if found in _STANDARD else found


class _Found(NamedTuple):
    rates: Rates
    source: str
    since: str
    knows_tier: bool


class PriceBook:
    """What models cost.

    Args:
        tables: prices of a configuration, which come before those that come along.
    """

    def __init__(self, tables: Iterable[PriceTable] = ()) -> None:
        self._tables: Sequence[tuple[str, PriceTable]] = [
            (f"prices[{number}]: {table}", table) for number, table in enumerate(tables)
        ]
        self._rates = {source: catalogue.rates_of(table.units) for source, table in self._tables}
        self._bounds: dict[tuple[str, datetime, str, str], Bound | None] = {}

    def load(self) -> PriceBook:
        """Read the catalogue now: it takes a second, which no run should wait for."""
        catalogue.load()
        return self

    def cost(self, answered: Answered) -> Cost:
        """What a response cost, as far as that is known. Never raises: money that was spent was spent."""
        priced = self._priced(answered)
        reported = None if answered.reported is None else usd_micros(answered.reported)
        differs = [*contradictions(answered.usage, answered.total), *priced.differs]
        if reported is not None and (priced.usd_micros is None or priced.unpriced):
            # Who sends the bill knows what is on it.
            priced = Cost(usd_micros=reported, source=f"reported by {answered.provider or 'the provider'}")
        elif reported is not None and _apart(reported, priced.usd_micros or 0):
            differs.append(f"the provider says it cost ${usd(reported)}")
        return Cost(
            usd_micros=priced.usd_micros,
            unpriced=priced.unpriced,
            source=priced.source,
            since=priced.since,
            on=_day(answered.at).isoformat(),
            kinds={kind: _whole(count) for kind, count in answered.usage.items() if count},
            reported_usd_micros=reported,
            differs=differs,
        )

    def bound(self, model: str, at: datetime, *, provider: str = "", url: str = "") -> Bound | None:
        """The dearest prices that may apply to a request to this model; None: it is unpriced.

        A request may be answered a while after it was bounded: what begins within a day counts. Remembered for each
        minute, of which no price begins in the middle: a request is bounded in each step.
        """
        asked = (model, at.replace(second=0, microsecond=0), provider, url)
        if asked not in self._bounds:
            if len(self._bounds) >= _BOUNDS_KEPT:
                self._bounds.clear()
            self._bounds[asked] = self._bound(*asked)
        return self._bounds[asked]

    def _bound(self, model: str, at: datetime, provider: str, url: str) -> Bound | None:
        on = (_day(at), _day(at + timedelta(days=1)))
        tables = [table for _, table in self._tables]
        variants = {(table.tier, table.above) for table in tables if table.is_of((model,), provider, on[1])}
        found = [
            catalogue.rates_of(closest.units)
            for tier, above in variants
            for day in on
            if (closest := _closest(tables, (model,), provider, day, tier, above)) is not None
        ]
        is_covered = any(tier is None and not above for tier, above in variants)
        if not is_covered and (entry := catalogue.find((model,), provider, url)) is not None:
            found += [rates for day in (at, at + timedelta(days=1)) for rates in entry.all_rates(day)]
        return dearest(found)

    def _priced(self, answered: Answered) -> Cost:
        if not answered.measured:
            return Cost(unpriced=["usage was not reported"])
        found = self._in_tables(answered) or self._in_catalogue(answered)
        if found is None:
            return Cost(unpriced=["model"])
        try:
            amount = found.rates.total(answered.usage)
        except ValueError:
            return Cost(unpriced=["usage contradicts itself"], source=found.source, since=found.since)
        is_priced = bool(found.rates.units)
        return Cost(
            usd_micros=usd_micros(amount) if is_priced else None,
            unpriced=[*found.rates.uncovered(answered.usage)] if is_priced else ["model"],
            source=found.source,
            since=found.since,
            differs=[f"tier '{answered.tier}' has no price of its own"]
            if answered.tier and not found.knows_tier
            else [],
        )

    def _in_tables(self, answered: Answered) -> _Found | None:
        on, size = _day(answered.at), answered.usage.get("input_tokens", Decimal(0))
        fitting = [
            (table.closeness, source, table)
            for source, table in self._tables
            if table.is_of(answered.names, answered.provider, on)
            and table.tier in {None, answered.tier}
            and (not table.above or table.above < size)
        ]
        if not fitting:
            return None
        _, source, table = max(fitting, key=lambda one: one[0])
        since = "" if table.since == date.min else table.since.isoformat()
        return _Found(self._rates[source], source, since, table.tier is not None)

    def _in_catalogue(self, answered: Answered) -> _Found | None:
        entry = catalogue.find(answered.names, answered.provider, answered.url)
        if entry is None:
            return None
        rates = entry.rates(answered.at, answered.context)
        return _Found(rates, entry.source, entry.since(answered.at), entry.knows(answered.context, "service_tier"))


def _closest(
    tables: Iterable[PriceTable], names: tuple[str, ...], provider: str, on: date, tier: str | None, above: int
) -> PriceTable | None:
    fitting = [one for one in tables if (one.tier, one.above) == (tier, above) and one.is_of(names, provider, on)]
    return max(fitting, key=lambda one: one.closeness, default=None)


def _apart(reported: int, ours: int) -> bool:
    return abs(reported - ours) > max(1, _DIFFERS * max(reported, ours))


def _whole(count: Decimal) -> int:
    return int(count.to_integral_value(ROUND_CEILING))


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
