"""Items and members.

An *item* is one call of `append` or `hold`. A *member* is all that one run has pending, merged, numbered
and hashed: what the run contributes to one batch. A member stays as built until it is answered, so that
after a lost reply the very same hashes can be looked for, and sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from holdfast.domain.halts import names_of
from holdfast.store.hashing import chained_hash
from holdfast.store.journal.rows import NOTHING_COUNTED, Counters
from holdfast.store.journal.shapes import INTENT, REWOUND, UNBOUNDED, Shape

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from holdfast.domain.ledger import Line
    from holdfast.store.journal.run import RunJournal


_NAMED = {
    b"tool_started": ("tool", "tool"),
    b"output_started": ("tool", "name"),
    b"call_handed_out": ("tool", "tool"),
    b"model_requested": ("model", "model"),
}
"""Of each type of intent, what it is about, and the field that names it."""


class Entry(NamedTuple):
    """One event, ready to be numbered and hashed."""

    shape: Shape
    at_us: int
    body: bytes
    counts: Counters | None
    lines: Sequence[Line] = ()
    """What it adds to the ledger."""


class Item:
    """One call of `append` or `hold`."""

    __slots__ = (
        "approvals",
        "entries",
        "fold_to",
        "future",
        "is_plain",
        "is_unbounded",
        "names",
        "next",
        "refused",
        "reserves",
        "rewound",
        "settles",
        "size",
        "tallies",
    )

    def __init__(self, entries: list[Entry], size: int) -> None:
        self.entries = entries
        self.size = size
        """Bytes that it holds of the queue."""
        self.future: asyncio.Future[int] | None = None
        """Who waits for it. Nobody waits for what is held."""
        self.approvals: tuple[bytes, ...] = ()
        self.tallies: tuple[bytes, ...] = ()
        self.reserves: tuple[bytes, ...] = ()
        """What its intents may use of budgets."""
        self.settles: tuple[bytes, ...] = ()
        """What its facts did use."""
        self.next: bytes | None = None
        self.is_plain = True
        """Neither rows beside its events nor a next state."""
        self.names: tuple[str, ...] = ()
        """Tools and models for which a halt may keep the run from going on, where it parks for that."""
        self.fold_to = 0
        self.rewound = False
        self.is_unbounded = False
        """It announces what costs money or tokens, and does not say how much at most."""
        self.refused: Exception | None = None
        """Raised to the caller once the item's facts are committed: its intents were refused."""

    def settle(self, seq: int) -> None:
        """Tell whoever waits that it is committed, up to this sequence."""
        future = self.future
        if future is not None and not future.done():
            if self.refused is None:
                future.set_result(seq)
            else:
                future.set_exception(self.refused)

    def fail(self, error: Exception) -> bool:
        """Tell whoever waits. Answers whether anybody did."""
        if self.future is None:
            return False
        if not self.future.done():
            self.future.set_exception(error)
        return True

    def has_intent(self) -> bool:
        """Whether it announces something not yet done."""
        return any(entry.shape.flag == INTENT for entry in self.entries)

    def drop_intents(self, refused: Exception) -> None:
        """Keep the facts only."""
        self.refused = refused
        self.entries = [entry for entry in self.entries if entry.shape.flag != INTENT]
        self.approvals = self.tallies = self.reserves = ()
        self.is_unbounded = False


class Member:
    """What one run contributes to a batch."""

    __slots__ = (
        "blobs",
        "counters",
        "entries",
        "flags",
        "folded_seq",
        "hashes",
        "head",
        "in_line",
        "is_open",
        "is_plain",
        "items",
        "journal",
        "lost_at",
        "named",
        "new_head",
        "new_seq",
        "seq",
        "size",
    )

    def __init__(self, journal: RunJournal, items: list[Item], blobs: list[tuple[bytes, bytes]], size: int) -> None:
        self.journal = journal
        self.items = items
        self.blobs = blobs
        self.size = size
        """Bytes that it holds of the queue."""
        self.is_open = True
        """Not answered yet."""
        self.in_line = False
        """It goes with others of its tenant only, one batch at a time."""
        self.lost_at: float | None = None
        """When its reply was first lost, by the loop's clock: it may have been committed since, or may yet be."""
        self.seq: int = journal.seq
        self.head: bytes = journal.head
        self.folded_seq: int = journal.folded_seq
        self.entries: list[Entry] = items[0].entries if len(items) == 1 else [e for item in items for e in item.entries]
        self.is_plain = True
        """None of its items has rows beside its events or a next state, nor is it to name its intents."""
        self.named = False
        """Whether it says which tools and models its intents are about."""
        self.flags = 0
        self.counters = NOTHING_COUNTED
        for item in items:
            if item.rewound:
                self.flags |= REWOUND
            self.folded_seq = max(self.folded_seq, item.fold_to)
            self.is_plain = self.is_plain and item.is_plain
            if item.is_unbounded:
                self.flags |= UNBOUNDED
        self.hashes = self._chain()
        self.new_seq: int = self.seq + len(self.hashes)
        self.new_head: bytes = self.hashes[-1]

    def name(self) -> None:
        """Say which tools and models its intents are about: a halt hangs on that. Nobody asks where there is none."""
        self.named, self.is_plain = True, False

    def names(self) -> list[str]:
        """What its intents are about."""
        found = [name for item in self.items for name in item.names]
        for shape, _, body, *_ in self.entries:
            if shape.flag == INTENT:
                what, field = _NAMED[shape.name]
                found += names_of(what, orjson.loads(body)["e"][field])
        return found

    def _chain(self) -> list[bytes]:
        prefix, seq, head, hashes, counters = self.journal.prefix, self.seq, self.head, list[bytes](), NOTHING_COUNTED
        for shape, at_us, body, counts, _ in self.entries:
            seq += 1
            head = chained_hash(prefix, seq, shape.hashed, at_us, body, head)
            hashes.append(head)
            self.flags |= shape.flag
            if counts is not None:
                counters = counts if counters is NOTHING_COUNTED else Counters(*map(int.__add__, counters, counts))
        self.counters = counters
        return hashes
