"""Reading journals and content, in the scope of one tenant, as either login.

A run is read in one round trip, its events and its content together; a huge one in pages. Rows are
turned into Python in slices with the event loop given its turn between them: nobody else waits for a long
journal to be read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from holdfast.domain.errors import OperatorError
from holdfast.domain.ids import Ref
from holdfast.store.hashing import StoredEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from holdfast.store.claims import ShortJournal
    from holdfast.store.pool import Database
    from holdfast.store.vault import SubjectKey

_PAGE_ROWS = 4096
_SLICE_ROWS = 128


class ContentMissing(OperatorError):
    """A journal names content that is not stored."""


class Recorded(NamedTuple):
    """A run as it was recorded: all that replay needs."""

    events: list[StoredEvent]
    content: dict[Ref, bytes]
    """Plain bytes of all content the run stored itself. That of earlier runs is found by `content_of`."""


def opened(journal: ShortJournal, key: SubjectKey) -> Recorded:
    """What came with a claim, its content opened with the subject's key.

    Raises:
        ContentDamaged: a piece of content does not open.
    """
    return Recorded(journal.events, {Ref(digest.hex()): key.open(digest, body) for digest, body in journal.sealed})


class RunReader:
    """Reads what runs recorded."""

    def __init__(self, db: Database, *, page_rows: int = _PAGE_ROWS) -> None:
        self._db = db
        self._page_rows = page_rows

    async def recorded(self, tenant: UUID, run: UUID, key: SubjectKey) -> Recorded:
        """A run's whole journal, and all its content opened with its subject's key.

        Raises:
            ContentDamaged: a piece of content does not open.
        """
        named = {"tenant": tenant, "run": run, "limit": self._page_rows}
        first = ("read_events", {**named, "after": 0}), ("read_run_blobs", {**named, "after": b""})
        async with self._db.cursors(tenant, *first) as (of_events, of_blobs):
            events = [StoredEvent(tenant, run, *row) async for row in _in_slices(of_events)]
            content = {Ref(digest.hex()): key.open(digest, body) async for digest, body in _in_slices(of_blobs)}
        if len(events) == self._page_rows:
            events += await self.journal(tenant, run, after=events[-1].seq)
        if len(content) == self._page_rows:
            after = bytes.fromhex(max(content))
            async for digest, body in self._pages(tenant, "read_run_blobs", {"tenant": tenant, "run": run}, after):
                content[Ref(digest.hex())] = key.open(digest, body)
        return Recorded(events, content)

    async def journal(self, tenant: UUID, run: UUID, *, after: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """A run's events after a sequence, oldest first, at most `limit`. Empty without such a run."""
        pages = self._pages(tenant, "read_events", {"tenant": tenant, "run": run}, after, limit)
        return [StoredEvent(tenant, run, *row) async for row in pages]

    async def blobs(self, tenant: UUID, run: UUID, refs: Iterable[str]) -> dict[str, bytes]:
        """Sealed content by reference; one into another run is written `<run>/<digest>`.

        What is missing is left out.
        """
        places = {ref: _place(run, ref) for ref in refs}
        if not places:
            return {}
        runs, digests = zip(*places.values(), strict=True)
        named = {"tenant": tenant, "runs": list(runs), "digests": list(digests)}
        async with self._db.cursors(tenant, ("read_blobs", named)) as [cursor]:
            found = {(owner, digest): body async for owner, digest, body in _in_slices(cursor)}
        return {ref: found[place] for ref, place in places.items() if place in found}

    async def content_of(self, tenant: UUID, run: UUID, refs: Iterable[str], key: SubjectKey) -> dict[str, bytes]:
        """Plain content by reference, of this run or, written `<run>/<digest>`, of others of the same subject.

        Raises:
            ContentMissing: a reference names nothing that is stored.
            ContentDamaged: a piece of content does not open.
        """
        refs = list(refs)
        sealed = await self.blobs(tenant, run, refs)
        plain = dict[str, bytes]()
        for count, ref in enumerate(refs, 1):
            if ref not in sealed:
                raise ContentMissing(
                    f"Run {run} refers to content {ref[-64:][:12]}…, which is not stored. Restore `blobs` from "
                    "a backup, or look whether retention dropped an earlier run of the session."
                )
            plain[ref] = key.open(_place(run, ref)[1], sealed[ref])
            if count % _SLICE_ROWS == 0:
                await asyncio.sleep(0)
        return plain

    async def _pages(
        self, tenant: UUID, name: str, named: dict[str, Any], after: Any, limit: int | None = None
    ) -> AsyncIterator[tuple[Any, ...]]:
        # A page starts after the first column of the last row: rows that arrive meanwhile shift nothing.
        left = limit
        while left is None or left > 0:
            page_rows = self._page_rows if left is None else min(left, self._page_rows)
            page = {**named, "after": after, "limit": page_rows}
            async with self._db.cursors(tenant, (name, page)) as [cursor]:
                async for row in _in_slices(cursor):
                    after = row[0]
                    yield row
                if cursor.rowcount < page_rows:
                    return
            left = None if left is None else left - page_rows


async def _in_slices(cursor: Any) -> AsyncIterator[tuple[Any, ...]]:
    while rows := await cursor.fetchmany(_SLICE_ROWS):
        for row in rows:
            yield row
        if len(rows) < _SLICE_ROWS:
            return
        await asyncio.sleep(0)


def _place(run: UUID, ref: str) -> tuple[UUID, bytes]:
    owner, _, digest = ref.rpartition("/")
    return (UUID(owner) if owner else run), bytes.fromhex(digest)
