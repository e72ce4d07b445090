"""What a member adds to the ledger, from its events: by day and model or tool, each once."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from holdfast.domain.ledger import Amounts, Kind
from holdfast.store import arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.store.journal.member import Member

DAY_US = 86_400_000_000

_NOTHING = Amounts()

Key = tuple[int, Kind, str]
"""The day as days since 1970, the kind of row, and the name."""


def rows_of(member: Member) -> dict[Key, Amounts]:
    """What this member adds, by row."""
    found: dict[Key, Amounts] = {}
    stored = sum(len(body) for _, body in member.blobs)
    for entry in member.entries:
        day = entry.at_us // DAY_US
        for line in entry.lines:
            key = (day, line.kind, line.name)
            known = found.get(key)
            found[key] = line.amounts if known is None else known.plus(line.amounts)
        stored += len(entry.body)
    # With one of the steps that are written now, where there is any: a row more in each append is a tenth of its cost.
    key = next(iter(found), (member.entries[-1].at_us // DAY_US, "run", ""))
    found[key] = found.get(key, _NOTHING)._replace(bytes=stored)
    return found


def parameters(members: Sequence[Member]) -> tuple[bytes, bytes]:
    """The two arrays of `holdfast.append` about costs."""
    texts, numbers = list[bytes](), list[int]()
    for number, member in enumerate(members, 1):
        feature = member.journal.feature
        for (day, kind, name), amounts in rows_of(member).items():
            texts += (kind.encode(), name.encode(), feature)
            numbers += chain((number, day), amounts)
    return arrays.text(texts), arrays.bigints(numbers)
