"""From members to the parameters of `holdfast.append`, and from its rows to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.store.journal import arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.store.journal.member import Member


class Answer(NamedTuple):
    """What the database said of one member."""

    idx: int
    outcome: str
    inbox_seq: int | None
    cancelling: bool | None


def parameters(members: Sequence[Member]) -> dict[str, object]:
    """The arguments of `holdfast.append` for this batch."""
    journals = [member.journal for member in members]
    return {
        "m_tenant": arrays.uuids([journal.tenant.bytes for journal in journals]),
        "m_run": arrays.uuids([journal.run.bytes for journal in journals]),
        "m_worker": arrays.uuids([journal.worker.bytes for journal in journals]),
        "m_epoch": arrays.bigints([journal.epoch for journal in journals]),
        "m_seq": arrays.bigints([member.seq for member in members]),
        "m_head": arrays.hashes([member.head for member in members]),
        "m_new_seq": arrays.bigints([member.new_seq for member in members]),
        "m_new_head": arrays.hashes([member.new_head for member in members]),
        "m_folded": arrays.bigints([member.folded_seq for member in members]),
        "m_flags": arrays.ints([member.flags for member in members]),
        "m_increments": arrays.bigints([count for member in members for count in member.counters]),
        **_events(members),
        **_blobs(members),
        "rare": _rare(members),
    }


def _events(members: Sequence[Member]) -> dict[str, object]:
    owners, seqs = list[int](), list[int]()
    types, ats, bodies, hashes = list[bytes](), list[int](), list[bytes](), list[bytes]()
    for number, member in enumerate(members, 1):
        entries = member.entries
        owners += [number] * len(entries)
        seqs += range(member.seq + 1, member.new_seq + 1)
        hashes += member.hashes
        for entry in entries:
            types.append(entry.type)
            ats.append(entry.at_us)
            bodies.append(entry.body)
    return {
        "e_member": arrays.ints(owners),
        "e_seq": arrays.bigints(seqs),
        "e_type": arrays.text(types),
        "e_at": arrays.timestamps(ats),
        "e_body": arrays.text(bodies),
        "e_hash": arrays.hashes(hashes),
    }


def _blobs(members: Sequence[Member]) -> dict[str, object]:
    owners, digests, bodies = list[int](), list[bytes](), list[bytes]()
    for number, member in enumerate(members, 1):
        for digest, body in member.blobs:
            owners.append(number)
            digests.append(digest)
            bodies.append(body)
    return {
        "b_member": arrays.ints(owners),
        "b_digest": arrays.hashes(digests),
        "b_body": arrays.bytea(bodies),
    }


def _rare(members: Sequence[Member]) -> str | None:
    # Each row was encoded when it was queued; only the member's number is put in front here.
    next_, approvals = list[bytes](), list[bytes]()
    for number, member in enumerate(members, 1):
        for item in member.items:
            if item.is_plain:
                continue
            front = b'{"m":%d,' % number
            approvals += [front + row[1:] for row in item.approvals]
            if item.next is not None:
                next_.append(front + item.next[1:])
    parts = [
        b'"%s":[%s]' % (name, b",".join(rows)) for name, rows in ((b"next", next_), (b"approvals", approvals)) if rows
    ]
    return (b"{" + b",".join(parts) + b"}").decode() if parts else None
