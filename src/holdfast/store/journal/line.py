"""The runs of one tenant with budgets, which go in turn.

What they reserve is mostly of the same windows: two batches of them side by side would only find each other's rows
locked. So one goes at a time, of all that has come meanwhile, and nobody else's runs are in it: it may wait for other
processes at those rows.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.store.journal.member import Member
    from holdfast.store.journal.run import RunJournal

_PATIENT_EACH = 4
"""One try in so many waits at a locked row; the others leave it for later."""


class Line:
    """The journals of one tenant that have something due."""

    def __init__(self) -> None:
        self.waiting: deque[RunJournal] = deque()
        self.is_called = False
        """It stands among those that are ready, or a batch of it is under way."""
        self.rests = False
        """It lets some time pass, since others had what it wanted."""
        self.tries = 0
        """How often all of it was in vain since it last was not."""

    @property
    def is_patient(self) -> bool:
        """Whether its next batch may wait at locked rows."""
        return self.tries % _PATIENT_EACH == 0

    def answered(self, *, in_vain: bool) -> None:
        """A batch of it came back, with all of its members busy or not."""
        self.tries = self.tries + 1 if in_vain else 0

    def gather(self, most: int, max_bytes: int) -> list[Member]:
        """As much as one statement carries."""
        batch, size = list["Member"](), 0
        while self.waiting and len(batch) < most and size < max_bytes:
            member = self.waiting.popleft().take(max_bytes - size)
            if member is not None:
                batch.append(member)
                size += member.size
        return batch
