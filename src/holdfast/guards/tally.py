"""Tallies: amounts that add up over calls, which policies look at as `context.run.NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, get_args

from holdfast.domain.errors import UserError

Per: TypeAlias = Literal["principal", "session", "run", "tenant"]
"""Whose amounts add up."""
Window: TypeAlias = Literal["hour", "day", "week", "month", "ever"]
"""For how long, from the beginning of each: in the installation's time zone."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tally:
    """An amount that adds up.

    Args:
        name: as policies and `@governed(tallies=...)` call it.
        per: whose amounts add up.
        window: for how long.

    Raises:
        UserError: one of these is none of those that there are.
    """

    name: str
    per: Per = "principal"
    window: Window = "day"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(f"'{self.name}' cannot name a tally: lower-case letters, digits and '_', 63 at most.")
        if self.per not in get_args(Per) or self.window not in get_args(Window):
            raise UserError(
                f"Tally '{self.name}': per is one of {', '.join(get_args(Per))}, window one of "
                f"{', '.join(get_args(Window))}."
            )

    def since(self, now: datetime) -> datetime:
        """When the window began that `now`, a local time, lies in."""
        if self.window == "ever":
            return _EVER
        begun = now.replace(minute=0, second=0, microsecond=0)
        if self.window == "hour":
            return begun.astimezone(UTC)
        begun = begun.replace(hour=0)
        if self.window == "week":
            begun -= timedelta(days=begun.weekday())
        elif self.window == "month":
            begun = begun.replace(day=1)
        # A local midnight: on days on which clocks change it is not a whole number of days ago.
        return begun.replace(fold=0).astimezone(UTC)
