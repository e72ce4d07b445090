"""Reading a run's inbox: what people and other processes delivered, not yet folded into the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from holdfast.store.pool import Database


class Signal(NamedTuple):
    """One delivery. `content` is sealed under the run's subject's key."""

    seq: int
    kind: str
    body: str
    content: bytes | None
    digest: bytes | None
    by: str


async def read_inbox(db: Database, tenant: UUID, run: UUID, *, after: int) -> list[Signal]:
    """The signals after `after`, oldest first."""
    rows = await db.fetch(tenant, "read_inbox", {"tenant": tenant, "run": run, "after": after})
    return [Signal(*row) for row in rows]
