"""What tools cost: declared beforehand by `costs`, or told as it happens by `charge`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from holdfast.domain.errors import UserError
from holdfast.domain.money import usd_micros
from holdfast.effects.declare import effect

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__holdfast_costs__"
_MOST = Decimal(1_000_000)


def costs(usd: str | Decimal | int) -> Callable[[F], F]:
    """Each call of the tool costs this much, in USD: counted for every call whose body was entered.

    Args:
        usd: as "0.02".

    Raises:
        UserError: it is no amount, or the tool declares two.
    """
    micros = amount(usd, "holdfast.costs")

    def decorate(function: F) -> F:
        if getattr(function, _MARK, None) is not None:
            raise UserError(
                f"Tool function '{getattr(function, '__name__', function)}' declares two costs. Keep one, or tell the "
                "rest as it happens, with holdfast.charge."
            )
        setattr(function, _MARK, micros)
        return function

    return decorate


def charge(usd: str | Decimal | int) -> None:
    """The tool call under way has cost this much more, in USD. May be said more than once.

    Args:
        usd: as "0.0135". Less than nothing gives back what was charged before, in the same call.

    Raises:
        UserError: it is no amount, no tool call is under way, or more is given back than was charged.
    """
    try:
        under_way = effect.current()
    except UserError:
        raise UserError(
            "holdfast.charge(...) was called outside a tool call of a Holdfast run. In a unit test, wrap the call in "
            "holdfast.testing.effect_scope(...)."
        ) from None
    micros = amount(usd, "holdfast.charge", least=-_MOST)
    if micros < 0 and sum(under_way.charges) + micros < 0:
        # Its budgets would have room for what others may spend.
        raise UserError(f"holdfast.charge: {usd} gives back more than this call has charged.")
    under_way.charges.append(micros)


def amount(usd: str | Decimal | int, where: str, *, least: Decimal = Decimal(0)) -> int:
    """An amount that somebody wrote, in millionths.

    Raises:
        UserError: it is none. A float is refused: 0.1 is not a tenth.
    """
    try:
        found = None if isinstance(usd, bool | float) else Decimal(usd)
    except (InvalidOperation, TypeError, ValueError):
        found = None
    if found is None or not found.is_finite() or not least <= found <= _MOST:
        raise UserError(
            f"{where}: {usd!r} is no amount of USD. Give a text or a Decimal, as '0.02', "
            f"{'from 0 ' if least == 0 else ''}to {_MOST}."
        )
    return usd_micros(found)


def costs_of(function: Any) -> int | None:
    """What a decorator left on `function`, through wrappers that keep `__wrapped__`."""
    while function is not None:
        found = getattr(function, _MARK, None)
        if isinstance(found, int):
            return found
        function = getattr(function, "__wrapped__", None)
    return None
