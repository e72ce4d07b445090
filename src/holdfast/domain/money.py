"""Money: whole millionths of a dollar inside, decimals at the edge."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

MICROS = 1_000_000


def usd_micros(usd: Decimal) -> int:
    """An amount to the nearest millionth."""
    return int((usd * MICROS).to_integral_value(ROUND_HALF_EVEN))


def usd_micros_at_most(usd: Decimal) -> int:
    """An amount that is never less than this one: of bounds."""
    return int((usd * MICROS).to_integral_value(ROUND_CEILING))


def usd(micros: int) -> Decimal:
    """What is written for people: exact, with as many digits as it takes, two at least."""
    exact = Decimal(micros) / MICROS
    return exact.quantize(Decimal("0.01")) if micros % 10_000 == 0 else exact.normalize()
