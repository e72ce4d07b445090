"""From a call of `append` or `hold` to an item: checked before it is queued beside other runs' items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from holdfast.domain.errors import AppendRejected
from holdfast.domain.events import INTENTS, OUTCOMES, AnyEvent
from holdfast.store.journal.bodies import encode
from holdfast.store.journal.member import INTENT, PROGRESS, Entry, Item
from holdfast.store.journal.rows import ApprovalRow, Finish, Park, counted, encode_approval, encode_next

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from holdfast.domain.ids import Ref

_FLAGS = dict.fromkeys(INTENTS, INTENT) | dict.fromkeys(OUTCOMES, PROGRESS)


def make_item(run: UUID, events: tuple[AnyEvent, ...], at_us: int, seal: Callable[[bytes], Ref]) -> Item:
    """These events as an item.

    Raises:
        AppendRejected, TooLarge: as `encode`.
    """
    if not events:
        raise ValueError("An append carries at least one event: no row of a run changes without a fact.")
    entries: list[Entry] = []
    size = 0
    for event in events:
        body = encode(run, event, seal)
        entries.append(Entry(event.type.encode(), at_us, body, _FLAGS.get(event.type, 0), counted(event)))
        size += len(body)
    return Item(entries, size)


def add_rows(run: UUID, item: Item, approvals: Iterable[ApprovalRow], next_: Park | Finish | None) -> None:
    """Put the rarer parts of an append to its item.

    Raises:
        AppendRejected: a row cannot be written as JSON.
    """
    item.is_plain = False
    try:
        item.approvals = tuple(encode_approval(row) for row in approvals)
    except orjson.JSONEncodeError as error:
        raise AppendRejected(run, f"An approval of run {run} cannot be written as JSON: {error}.") from error
    if next_ is not None:
        if item.has_intent():
            raise ValueError("A run cannot announce something and park or end in one append.")
        item.next = encode_next(next_)
