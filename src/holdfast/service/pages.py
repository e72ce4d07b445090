"""Lists in pages: how long they are, where one begins, and where the next does."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from holdfast.domain.errors import InvalidCursor

PAGE = 50
PAGE_MOST = 200

R = TypeVar("R")


def cut(rows: Sequence[R], limit: int, place: Callable[[R], object]) -> tuple[Sequence[R], str | None]:
    """A page of at most `limit` rows, and where the next begins: `rows` has one more than the page if there is one.

    `place` tells where a row stands, as something whose text is a cursor.
    """
    page = rows[:limit]
    return page, str(place(page[-1])) if len(rows) > limit else None


@dataclass(frozen=True, slots=True)
class ListCursor:
    """A place in a list that is ordered by time and id: the last row seen."""

    at: datetime
    id: UUID

    @classmethod
    def place(cls, text: str | None) -> tuple[datetime, UUID] | None:
        """What `text` names, as the store takes it; None, or nothing, is the beginning.

        Raises:
            InvalidCursor: this interface did not write it.
        """
        if not text:
            return None
        found = cls.parse(text)
        return found.at, found.id

    @classmethod
    def parse(cls, text: str) -> ListCursor:
        """The place that `text` names.

        Raises:
            InvalidCursor: this interface did not write it.
        """
        found = cls._decoded(text)
        if found is None or found.at.tzinfo is None or str(found) != text:
            raise InvalidCursor(
                f"'{text[:80]}' is not a cursor of this list. Send the `next` of the page before, or nothing to "
                "begin at the newest."
            )
        return found

    @classmethod
    def _decoded(cls, text: str) -> ListCursor | None:
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
            at, _, id_ = raw.decode("ascii").partition(" ")
            return cls(datetime.fromisoformat(at), UUID(id_))
        except ValueError:
            return None

    def __str__(self) -> str:
        raw = f"{self.at.isoformat()} {self.id}".encode("ascii")
        return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
