"""What became of members whose reply was lost: read, never guessed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from holdfast.store.journal.statement import Answer
from holdfast.store.query import query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from holdfast.store.connection import Connection
    from holdfast.store.journal.member import Member


async def read_fates(connection: Connection, members: Sequence[Member]) -> list[Answer]:
    """One answer per member: `appended`, `absent` (not in the journal, but it still fits) or `fenced`."""
    by_tenant: defaultdict[UUID, list[tuple[int, Member]]] = defaultdict(list)
    for number, member in enumerate(members, 1):
        by_tenant[member.journal.tenant].append((number, member))
    return [
        answer
        for tenant, numbered in by_tenant.items()
        for answer in await _fates_in_tenant(connection, tenant, numbered)
    ]


async def _fates_in_tenant(connection: Connection, tenant: UUID, numbered: list[tuple[int, Member]]) -> list[Answer]:
    async with connection.together(tenant):
        cursor = await connection.execute(
            query("append_fates"),
            {
                "tenant": tenant,
                "runs": [member.journal.run for _, member in numbered],
                "seqs": [member.new_seq for _, member in numbered],
            },
        )
    rows = {row[0]: row[1:] for row in await cursor.fetchall()}
    return [_fate(number, member, *rows[member.journal.run]) for number, member in numbered]


def _fate(
    number: int,
    member: Member,
    seq: int | None,
    head: bytes | None,
    found: bytes | None,
    inbox_seq: int,
    cancelling: bool,
) -> Answer:
    if found == member.new_head:
        outcome = "appended"
    elif seq == member.seq and head == member.head:
        outcome = "absent"
    else:
        outcome = "fenced"
    return Answer(number, outcome, inbox_seq, cancelling)
