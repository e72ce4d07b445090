"""Limits: how much a run may do before people are asked, each on its own.

Inside, a limit is a *ceiling*: a whole number by the name of what is counted. `steps`, `tool_calls`, `tokens` and so on
count once; `calls:NAME` counts calls of one tool, `writes:SYSTEM` effects on one system, `amount:NAME` sums of an
argument in ten-thousandths. Ceilings from several sides apply together, and the lowest rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from holdfast.domain.durations import seconds_in
from holdfast.domain.errors import UserError
from holdfast.domain.money import MICROS, usd

OnLimit: TypeAlias = Literal["park", "fail"]
"""What becomes of a run that reaches a limit: it waits until somebody raises it, or it fails."""

Ceilings: TypeAlias = Mapping[str, int]

AMOUNT_UNITS = 10_000
"""So many units make one of an amount: amounts are counted in ten-thousandths."""

_PER_NAME = {"calls": "calls", "writes": "writes", "amounts": "amount"}
_SECONDS = frozenset({"wall_clock", "deadline"})
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MOST = 2**53 - 1
"""What every JSON reader keeps exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a run may do. What is not given is not limited.

    Each is looked at before the step that would exceed it begins: that step is not begun.

    Args:
        steps: model requests and tool calls together. A step that is tried again after a crash counts once.
        model_requests: requests to models, those of sub-agents included.
        tool_calls: calls of tools, those of sub-agents included.
        calls: calls of single tools, by name.
        input_tokens: what is sent to models. A request is not begun if it might exceed this.
        output_tokens: what models answer. A request is told how many are left.
        tokens: both together.
        cost_usd: what all of it costs, tools that declare a cost included. A model without a price is not asked then.
        server_tools: uses of the provider's own tools in one request, where it has any: a limit on money needs to know.
        max_output_tokens: of one answer, where a limit on tokens applies and neither agent nor model settings say less.
        wall_clock: the time in which a worker holds the run: seconds, a timedelta, or as "10m".
        deadline: the time since it was asked for, waiting included.
        side_effects: calls of tools and output functions that have consequences outside: all but `pure` and `delegate`.
        writes: the same by system, as `@governed(system=...)` names it. Given, no other system is written to.
        amounts: sums of arguments, by the names that `@governed(tallies=...)` gives them.
        depth: how deep sub-agents may be nested; 0: none.
        fan_out: tool calls of one model answer.
        output_bytes: the size of the run's output as JSON.

    Raises:
        UserError: one of them is not a number that can be counted to.
    """

    steps: int | None = None
    model_requests: int | None = None
    tool_calls: int | None = None
    calls: Mapping[str, int] = field(default_factory=dict[str, int])
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    cost_usd: Decimal | int | str | None = None
    server_tools: int | None = None
    max_output_tokens: int = 8192
    wall_clock: float | timedelta | str | None = None
    deadline: float | timedelta | str | None = None
    side_effects: int | None = None
    writes: Mapping[str, int] | None = None
    amounts: Mapping[str, Decimal | int | str] = field(default_factory=dict[str, "Decimal | int | str"])
    depth: int | None = None
    fan_out: int | None = None
    output_bytes: int | None = None

    def __post_init__(self) -> None:
        self.ceilings()
        if self.max_output_tokens < 1:
            raise UserError(f"Limits: max_output_tokens is {self.max_output_tokens}; give at least 1.")

    def ceilings(self) -> dict[str, int]:
        """The same by the names of what is counted."""
        found = dict[str, int]()
        for name in SINGLE:
            if (given := getattr(self, name)) is not None:
                found[name] = _counted(name, given)
        for name, prefix in _PER_NAME.items():
            by_key: Mapping[str, Any] = getattr(self, name) or {}
            for key, given in by_key.items():
                if not _KEY.fullmatch(key):
                    raise UserError(f"Limits: {name} names '{key}'; letters, digits, '_', '-' and '.' make a name.")
                found[f"{prefix}:{key}"] = (
                    _units(key, given) if name == "amounts" else _whole(f"{name}[{key!r}]", given)
                )
        if self.writes is not None:
            found["writes:"] = 0
        return found


SINGLE = tuple(one.name for one in fields(Limits) if one.name not in {*_PER_NAME, "max_output_tokens", "server_tools"})
"""What is limited by one number."""


NOT_COUNTED = frozenset({"wall_clock", "deadline", "depth", "fan_out", "output_bytes"})
"""What does not add up over the steps of a run: times, and what bounds each step by itself."""


class Reached(NamedTuple):
    """A limit that the next step would exceed."""

    limit: str
    """The name of its ceiling."""
    most: int
    stood: int
    """What was counted so far."""
    adds: int
    """What the next step adds, or might."""
    doing: str
    """The next step, in words."""
    tenants: int | None = None
    """The limit of the tenant, where that stands in the way."""
    own: int | None = None
    """Beside it, the run's own, where that stands in the way as well."""

    def __str__(self) -> str:
        which = "limit" if self.tenants is None else "tenant's limit"
        most = display(self.limit, self.most if self.tenants is None else self.tenants)
        text = f"The {which} on {describe(self.limit)} is reached: {display(self.limit, self.stood)} of {most}, and "
        text += self.doing
        text += f" may take {display(self.limit, self.adds)}." if self.adds > 1 else " comes next."
        if self.tenants is None:
            return text
        as_well = "" if self.own is None else f" The run's own, {display(self.limit, self.own)}, has to be raised, too."
        return f"{text} {how_to_raise(self.limit)}{as_well}"


def how_to_raise(limit: str) -> str:
    """Who may raise a limit of the tenant, and how."""
    return (
        "No run is raised above it; an administrator of the tenant raises it for all of them: "
        f"`holdfast tenants limits set {limit}=NUMBER`."
    )


def ceiling_of(ceilings: Ceilings, name: str) -> int | None:
    """The ceiling that rules for a name. Where some systems may be written to, all others are under `writes:`."""
    found = ceilings.get(name)
    return ceilings.get("writes:") if found is None and name.startswith("writes:") else found


def lowest(*sides: Ceilings) -> dict[str, int]:
    """The ceilings that rule where all of these apply."""
    names = dict.fromkeys(name for side in sides for name in side)
    return {name: min(most for side in sides if (most := ceiling_of(side, name)) is not None) for name in names}


def raised(ceilings: Ceilings, by: Iterable[Ceilings]) -> dict[str, int]:
    """The ceilings after people raised some; they never lower one, and make none."""
    found = dict(ceilings)
    for one in by:
        for name, most in one.items():
            if (before := ceiling_of(found, name)) is not None:
                found[name] = max(most, before)
    return found


def read_ceilings(given: Mapping[str, Any]) -> dict[str, int]:
    """Ceilings as people write them, in requests and on command lines: `{"steps": 40, "amount:refunded": "200"}`.

    Raises:
        ValueError: a name or a number is none; the message says what can be written.
    """
    found = dict[str, int]()
    for name, value in given.items():
        kind, _, key = name.partition(":")
        if name in SINGLE:
            found[name] = _from_person(name, _counted, value)
        elif kind == "amount" and key:
            found[name] = _from_person(name, lambda name, value: _units(name.partition(":")[2], value), value)
        elif kind in _PER_NAME.values() and _KEY.fullmatch(key):
            found[name] = _from_person(name, _whole, value)
        else:
            raise ValueError(
                f"There is no limit '{name}'. There are {', '.join(SINGLE)}, calls:TOOL, writes:SYSTEM and amount:NAME."
            )
    return found


def as_written(ceilings: Ceilings) -> dict[str, int | str]:
    """The same as people write them: `read_ceilings` makes these ceilings of it again."""
    return {name: _as_written(name, most) for name, most in ceilings.items()}


def _as_written(name: str, most: int) -> int | str:
    if name == "cost_usd":
        return f"{usd(most):f}"
    return f"{Decimal(most) / AMOUNT_UNITS:f}" if name.startswith("amount:") else most


def read_stored(given: object) -> dict[str, int]:
    """Ceilings as they are stored, from a place that may have been changed or be of a newer release.

    Raises:
        ValueError: they are none; the message says which.
    """
    if not isinstance(given, Mapping):
        raise ValueError("they are no names and numbers.")  # noqa: TRY004 - what was read is wrong, not the call
    found = dict[str, int]()
    for name, most in cast("Mapping[Any, Any]", given).items():
        if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= _MOST:
            raise ValueError(f"'{name}' is {most!r}, and no whole number that can be counted to.")
        read_ceilings({name: 0})
        found[name] = most
    return found


def describe(limit: str) -> str:
    """What a ceiling counts, in words."""
    kind, _, key = limit.partition(":")
    match kind:
        case "calls":
            return f"calls of '{key}'"
        case "writes":
            return f"writes to '{key}'" if key else "writes to systems that the task does not name"
        case "amount":
            return f"'{key}'"
        case _:
            return _WORDS[kind]


_WORDS = {
    "steps": "steps",
    "model_requests": "model requests",
    "tool_calls": "tool calls",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "tokens": "tokens",
    "cost_usd": "money",
    "wall_clock": "working time",
    "deadline": "time since it was asked for",
    "side_effects": "side effects",
    "depth": "nested agents",
    "fan_out": "tool calls of one answer",
    "output_bytes": "bytes of output",
}


def display(limit: str, value: int) -> str:
    """A number of a ceiling as people read it."""
    if limit in _SECONDS:
        return f"{value} s"
    if limit == "cost_usd":
        return f"${usd(value)}"
    if limit.startswith("amount:"):
        return f"{Decimal(value) / AMOUNT_UNITS:f}"
    return f"{value:,}"


def _from_person(name: str, read: Callable[[str, Any], int], value: Any) -> int:
    try:
        return read(name, value)
    except UserError as error:
        raise ValueError(str(error).removeprefix("Limits: ")) from error


def _counted(name: str, value: Any) -> int:
    if name == "cost_usd":
        return _exactly(value, MICROS, "cost_usd", "dollars from 0 on, as '0.50', to a millionth at most")
    return _whole(name, _seconds(name, value) if name in _SECONDS else value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise UserError(f"Limits: {name} is {value!r}; give a whole number from 0 on.")
    return value


def _seconds(name: str, value: Any) -> int:
    try:
        found = seconds_in(value) if isinstance(value, str) else value
    except ValueError as error:
        raise UserError(f"Limits: {name} is {value!r}; give seconds, or {error}.") from None
    if isinstance(found, timedelta):
        found = found.total_seconds()
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= _MOST:
        raise UserError(f"Limits: {name} is {value!r}; give seconds from 0 on.")
    return int(found)


def _units(name: str, value: Any) -> int:
    return _exactly(value, AMOUNT_UNITS, f"amount '{name}'", "an amount from 0 on, with four decimals at most")


def _exactly(value: Any, units: int, what: str, instead: str) -> int:
    """A decimal number in whole units."""
    try:
        found = Decimal(value if not isinstance(value, float) else str(value)) * units
        if found == found.to_integral_value() and 0 <= found <= _MOST:
            return int(found)
    except (InvalidOperation, TypeError, ValueError):
        pass
    raise UserError(f"Limits: {what} is {value!r}; give {instead}.")
