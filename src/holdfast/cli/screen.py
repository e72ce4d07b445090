"""Where a command writes: results on standard output, what goes on meanwhile on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pydantic import BaseModel
    from rich.console import Console
    from rich.table import Table

_UNBROKEN = 10_000
_WHOLE = frozenset({"run", "id", "at", "took", "tokens"})


def out() -> Console:
    """Standard output."""
    from rich.console import Console

    found = Console(highlight=False, soft_wrap=True)
    if not found.is_terminal:
        found.width = _UNBROKEN  # a program or a file reads it: lines stay whole
    return found


def err() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: BaseModel | Any) -> None:
    """One JSON document and a line feed, for programs."""
    import orjson
    from pydantic import BaseModel

    plain: Any = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    sys.stdout.write(orjson.dumps(plain).decode() + "\n")
    sys.stdout.flush()


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table without lines, whose cells can be cut out by eye and by `awk`."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    ends = set(right)
    for column in columns:
        made.add_column(
            column, justify="right" if column in ends else "left", overflow="fold", no_wrap=column in _WHOLE
        )
    return made


def plain(value: Any) -> str:
    """`value` for people: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    import orjson

    return orjson.dumps(value, default=str).decode()


def clock(at: datetime | None) -> str:
    """A moment in local time; `-` for none."""
    return "-" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


_MINUTE_S = 60
_HOUR_S = 3600


def lasted(milliseconds: int | None) -> str:
    """A duration as people say it; nothing for none."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if milliseconds < 1000:  # noqa: PLR2004 - one second
        return f"{milliseconds} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min {int(seconds % _MINUTE_S)} s"
    return f"{int(seconds // _HOUR_S)} h {int(seconds % _HOUR_S // _MINUTE_S)} min"
