"""Budgets: what may be spent over many runs, and the words in which people write and read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias, get_args

from holdfast.domain.limits import display as display_limit
from holdfast.domain.money import MICROS

Scope: TypeAlias = Literal["tenant", "user", "session", "task", "feature", "model"]
Unit: TypeAlias = Literal["usd", "tokens", "requests"]
Per: TypeAlias = Literal["run", "hour", "day", "week", "month", "ever"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
UNITS: tuple[Unit, ...] = get_args(Unit)
PERIODS: tuple[Per, ...] = get_args(Per)

EACH = "*"
"""The key of a budget that each of its scope has by itself."""

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)/([a-z]+)")
AMOUNT_MOST = 10**17
"""The largest amount: ten times a limit and its raises has to fit 64 bits."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much of a unit in each window.

    Args:
        amount: of `usd` in micro-dollars.
        unit: what is counted.
        per: the window.
    """

    amount: int
    unit: Unit
    per: Per

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """An allowance as people write it: `20usd/day`, `5000000 tokens/month`, `0.50usd/run`.

        Raises:
            ValueError: it is none; the message says what can be written.
        """
        match = _AMOUNT.fullmatch(text.strip())
        unit, per = (match[2], match[3]) if match is not None else ("", "")
        if match is None or unit not in UNITS or per not in PERIODS:
            raise ValueError(
                f"'{text}' is no allowance. Write an amount, one of {', '.join(UNITS)}, and one of "
                f"{', '.join(PERIODS)}: 20usd/day, 5000000tokens/month, 100requests/hour."
            )
        return cls(read_amount(unit, match[1]), unit, per)

    def __str__(self) -> str:
        return f"{written(self.unit, self.amount)}{self.unit}/{self.per}"


def read_amount(unit: Unit, value: Any) -> int:
    """An amount of a unit as people write it: dollars for `usd`, to a millionth; whole numbers for the others.

    Raises:
        ValueError: it is none.
    """
    try:
        found = Decimal(str(value)) * (MICROS if unit == "usd" else 1)
        if found == found.to_integral_value() and 0 <= found <= AMOUNT_MOST and not isinstance(value, bool):
            return int(found)
    except (ArithmeticError, ValueError):
        pass
    what = "dollars from 0 on, as 0.50, to a millionth" if unit == "usd" else "a whole number from 0 on"
    most = display(unit, AMOUNT_MOST)
    raise ValueError(f"'{str(value)[:40]}' is no amount of {unit}: give {what}, {most} at most.")


def written(unit: Unit, amount: int) -> str:
    """An amount as `read_amount` takes it."""
    return f"{Decimal(amount) / MICROS:f}" if unit == "usd" else str(amount)


def display(unit: str, amount: int) -> str:
    """An amount as people read it."""
    return display_limit("cost_usd", amount) if unit == "usd" else f"{amount:,} {unit}"


def read_scope(text: str) -> tuple[Scope, str]:
    """A scope and its key as people write them: `tenant`, `user:ann`, `user:*` for each user by itself.

    Raises:
        ValueError: it is none; the message says what can be written.
    """
    scope, _, key = text.partition(":")
    if scope not in SCOPES or (key == "") != (scope == "tenant"):
        others = ", ".join(f"{one}:NAME" for one in SCOPES if one != "tenant")
        raise ValueError(
            f"'{text}' is nothing that has a budget. Write tenant, {others}; * as the name is each of them."
        )
    return scope, key


def whose(scope: str, key: str, owner: str = "") -> str:
    """Whom a budget is of, in words."""
    if scope == "tenant":
        return "the tenant"
    if key == EACH and not owner:
        return f"each {scope}"
    return f"{scope} '{owner if key == EACH else key}'"


def called(scope: str, key: str, unit: str, per: str) -> str:
    """What a budget is called: `tenant/day/usd`, `user:*/month/tokens`."""
    return f"{scope}:{key}/{per}/{unit}" if key else f"{scope}/{per}/{unit}"


def read_called(text: str) -> tuple[Scope, str, Unit, Per]:
    """The scope, key, unit and window that `called` made a text of.

    Raises:
        ValueError: it is none; the message says what can be written.
    """
    whole, _, unit = text.rpartition("/")
    of, _, per = whole.rpartition("/")
    if unit not in UNITS or per not in PERIODS:
        raise ValueError(f"'{text[:80]}' is no budget. Write its id, or what it is called: tenant/day/usd.")
    return *read_scope(of), unit, per


def forecast(spent: int, began: datetime, until: datetime | None, at: datetime, length: timedelta) -> int | None:
    """What will be spent at a window's end, if it goes on as it did.

    Args:
        spent: so far.
        began: since when it could be spent: since the window or the budget began, whichever is later.
        until: when the window ends.
        at: now.
        length: of the whole window.

    Returns: None where that cannot be said: it does not end, or less than a tenth of it is past.
    """
    if until is None or at - began < length / 10 or at >= until:
        return None
    return int(spent * ((until - began) / (at - began)))


def how_long(per: str) -> str:
    """For how long a budget is, in words."""
    return {"run": "for each run", "ever": "for good"}.get(per, f"a {per}" if per != "hour" else "an hour")


def of_how_long(per: str) -> str:
    """The same, of a budget that is named before."""
    return how_long(per) if per in {"run", "ever"} else f"for {how_long(per)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A budget that has no room for what a step may use."""

    budget: str
    scope: str
    key: str
    owner: str
    unit: Unit
    per: Per
    most: int
    """What may be spent in this window, raises included."""
    spent: int
    held: int
    """What other steps have reserved and not settled."""
    wanted: int
    since: datetime
    until: datetime | None
    """When the next window begins; None: never."""
    at: datetime
    """The database's clock when it was asked."""

    @property
    def left(self) -> int:
        """What could be reserved now."""
        return self.most - self.spent - self.held

    @property
    def is_spent(self) -> bool:
        """Whether there would be no room even if nothing else were reserved."""
        return self.spent + self.wanted > self.most

    def __str__(self) -> str:
        shown = [display(self.unit, amount) for amount in (self.spent, self.most, self.held, self.wanted)]
        owner = "" if self.per == "run" else self.owner
        text = (
            f"The budget of {whose(self.scope, self.key, owner)} {of_how_long(self.per)} has no room: {shown[0]} of "
            f"{shown[1]} are spent, {shown[2]} reserved by steps under way, and the next step may take {shown[3]}."
        )
        if self.until is not None and self.is_spent:
            text += f" It begins anew at {self.until:%Y-%m-%d %H:%M %Z}."
        return f"{text} Who may can raise it: holdfast budget raise {self.budget}."
