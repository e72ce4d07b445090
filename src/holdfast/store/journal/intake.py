"""From a call of `append` or `hold` to an item: checked before it is queued beside other runs' items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from holdfast.domain.errors import AppendRejected
from holdfast.domain.events import ModelRequested, OutputStarted, ToolStarted
from holdfast.domain.ledger import Line, lines_of
from holdfast.store.journal.bodies import encode
from holdfast.store.journal.member import Entry, Item
from holdfast.store.journal.rows import (
    Finish,
    Park,
    Released,
    Row,
    Spending,
    Tallied,
    encode_next,
    encode_row,
    storable,
)
from holdfast.store.journal.shapes import SHAPES, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from holdfast.domain.events import AnyEvent
    from holdfast.domain.ids import Ref

_CALLS = (ToolStarted, OutputStarted)


def make_item(run: UUID, events: tuple[AnyEvent, ...], at_us: int, seal: Callable[[bytes], Ref]) -> Item:
    """These events as an item.

    Raises:
        AppendRejected, TooLarge: as `encode`.
    """
    if not events:
        raise ValueError("An append carries at least one event: no row of a run changes without a fact.")
    entries: list[Entry] = []
    size, costs = 0, False
    for event in events:
        shape = SHAPES[type(event)]
        body = encode(run, event, shape, seal)
        costs = costs or isinstance(event, ModelRequested) or (isinstance(event, _CALLS) and event.bound_usd_micros > 0)
        entries.append(Entry(shape, at_us, body, counted(event, shape), [*map(_storable, lines_of(event))]))
        size += len(body)
    item = Item(entries, size)
    item.is_unbounded = costs
    return item


def add_rows(run: UUID, item: Item, rows: Iterable[Row], next_: Park | Finish | None) -> None:
    """Put the rarer parts of an append to its item.

    Raises:
        AppendRejected: a row cannot be written as JSON.
    """
    item.is_plain = False
    try:
        for row in rows:
            if isinstance(row, Tallied | Released):
                item.tallies += (encode_row(row),)
            elif isinstance(row, Spending):
                if row.what == "reserve":
                    item.reserves += (encode_row(row),)
                    item.is_unbounded = False
                else:
                    item.settles += (encode_row(row),)
            else:
                item.approvals += (encode_row(row),)
    except orjson.JSONEncodeError as error:
        raise AppendRejected(run, f"A row of run {run} cannot be written as JSON: {error}.") from error
    if next_ is not None:
        if item.has_intent():
            raise ValueError("A run cannot announce something and park or end in one append.")
        item.next = encode_next(next_)
        item.names = next_.names if isinstance(next_, Park) else ()


def _storable(line: Line) -> Line:
    # A name made up by somebody may hold what no text column takes.
    return line if line.name.isprintable() else line._replace(name=storable(line.name))
