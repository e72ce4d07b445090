"""From members to the parameters of `holdfast.append`, and from its rows to answers."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import orjson

from holdfast.store import arrays
from holdfast.store.journal import ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGresult

    from holdfast.store.journal.member import Member

_COLUMNS = 5


class Answer(NamedTuple):
    """What the database said of one member."""

    idx: int
    outcome: str
    inbox_seq: int | None
    cancelling: bool | None
    why: str | None = None
    """Of intents that a budget has no room for: which, and how it stands, as JSON."""


def parameters(members: Sequence[Member], *, patient: bool = False) -> list[bytes | None]:
    """The arguments of `holdfast.append` for this batch, in its order and in binary form.

    `patient` has it wait for others at the windows of budgets, for a moment.
    """
    journals = [member.journal for member in members]
    return [
        arrays.uuids([journal.tenant_bytes for journal in journals]),
        arrays.uuids([journal.run_bytes for journal in journals]),
        arrays.uuids([journal.worker_bytes for journal in journals]),
        arrays.bigints([journal.epoch for journal in journals]),
        arrays.bigints([member.seq for member in members]),
        arrays.hashes([member.head for member in members]),
        arrays.bigints([member.new_seq for member in members]),
        arrays.hashes([member.new_head for member in members]),
        arrays.bigints([member.folded_seq for member in members]),
        arrays.ints([member.flags for member in members]),
        arrays.bigints(list(chain.from_iterable([member.counters for member in members]))),
        *_events(members),
        *_blobs(members),
        _rare(members, patient=patient),
        *ledger.parameters(members),
    ]


def answers(rows: PGresult) -> list[Answer]:
    """The rows that `append.sql` answers with: none for a member that was appended and has nothing new in its inbox."""
    value = rows.get_value
    return [_answer(*(value(number, column) for column in range(_COLUMNS))) for number in range(rows.ntuples)]


def _answer(
    idx: bytes | None, outcome: bytes | None, inbox_seq: bytes | None, cancelling: bytes | None, why: bytes | None
) -> Answer:
    assert idx is not None
    assert outcome is not None
    return Answer(
        int.from_bytes(idx, "big"),
        outcome.decode(),
        None if inbox_seq is None else int.from_bytes(inbox_seq, "big"),
        None if cancelling is None else cancelling != b"\0",
        None if why is None else why.decode(),
    )


def _events(members: Sequence[Member]) -> tuple[bytes, ...]:
    owners, seqs = list[int](), list[int]()
    types, ats, bodies, hashes = list[bytes](), list[int](), list[bytes](), list[bytes]()
    for number, member in enumerate(members, 1):
        entries = member.entries
        owners += [number] * len(entries)
        seqs += range(member.seq + 1, member.new_seq + 1)
        hashes += member.hashes
        for shape, at_us, body, *_ in entries:
            types.append(shape.name)
            ats.append(at_us)
            bodies.append(body)
    return (
        arrays.ints(owners),
        arrays.bigints(seqs),
        arrays.text(types),
        arrays.timestamps(ats),
        arrays.text(bodies),
        arrays.hashes(hashes),
    )


def _blobs(members: Sequence[Member]) -> tuple[bytes, ...]:
    owners, digests, bodies = list[int](), list[bytes](), list[bytes]()
    for number, member in enumerate(members, 1):
        for digest, body in member.blobs:
            owners.append(number)
            digests.append(digest)
            bodies.append(body)
    return arrays.ints(owners), arrays.hashes(digests), arrays.bytea(bodies)


def _rare(members: Sequence[Member], *, patient: bool) -> bytes | None:
    # Each row was encoded when it was queued; only the member's number is put in front here.
    next_, approvals, tallies, budgets = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
    names = dict[str, list[str]]()
    for number, member in enumerate(members, 1):
        if member.is_plain:
            continue
        if member.named:
            names[str(number)] = member.names()
        for item in member.items:
            front = b'{"m":%d,' % number
            approvals += [front + row[1:] for row in item.approvals]
            tallies += [front + row[1:] for row in item.tallies]
            budgets += [front + row[1:] for row in (*item.settles, *item.reserves)]
            if item.next is not None:
                next_.append(front + item.next[1:])
    sections = ((b"next", next_), (b"approvals", approvals), (b"tallies", tallies), (b"budgets", budgets))
    parts = [b'"%s":[%s]' % (name, b",".join(rows)) for name, rows in sections if rows]
    if names:
        parts.append(b'"names":' + orjson.dumps(names))
    if patient and budgets:
        parts.append(b'"patient":true')
    return b"{" + b",".join(parts) + b"}" if parts else None
