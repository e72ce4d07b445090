"""Live text: what a model is saying, from the worker that hears it to any process that shows it.

The worker publishes the text of each response as it is generated, coalesced, sealed under the run's subject,
into the unlogged table `live`; readers find it there when the hint `l:<run>` arrives. None of it is needed
for anything: once the response is in the journal it is served from there. So a publisher that cannot reach
the database says so once, keeps the text, and goes on; the run is not held up.

A row is text of one part from character `start` on. A server crash empties the table; the publisher notices
that an attempt's first row is gone and publishes the whole attempt again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import structlog

from holdfast.store.hashing import StoredEvent
from holdfast.store.query import query

if TYPE_CHECKING:
    from holdfast.store.hints import Hints
    from holdfast.store.pool import Database
    from holdfast.store.vault import SubjectKey

COALESCE_S = 0.04
"""Text that arrives within this time is written together."""
CHECK_S = 1.0
"""How often a publisher with nothing new to say looks whether its rows are still there."""
KEPT_S = 86_400.0
"""Rows older than this were left behind."""
SWEEP_S = 3600.0
"""How often a publisher removes what was left behind."""
_DIGEST_BYTES = 32

Kind = Literal["text", "thinking", "tool_call"]
_log = structlog.get_logger("holdfast.live")


class LiveDelta(NamedTuple):
    """Text of one part of a response that is being generated."""

    seq: int
    """The event that asked for the response."""
    attempt: int
    part: int
    kind: Kind
    start: int
    """Where `text` begins in the part, in characters."""
    text: str


@dataclass(slots=True)
class _Part:
    kind: Kind
    text: str = ""
    published: int = 0


@dataclass(slots=True, eq=False)
class _Attempt:
    """The text of one response so far, and how much of it is in the table."""

    tenant: UUID
    run: UUID
    key: SubjectKey
    seq: int = 0
    number: int = 0
    parts: dict[int, _Part] = field(default_factory=dict[int, _Part])
    first: int | None = None
    """The part whose beginning was published first: its row shows whether the table still has the attempt."""
    clears: int = 0
    """Rows of requests from this one on are of attempts before this, perhaps of another worker's."""
    stale: bool = False
    """Those rows are removed before the next are written."""
    wrote: bool = False

    def begin(self, seq: int, number: int, *, clears: int) -> None:
        """Forget the attempt before; whatever rows it had are void."""
        self.seq, self.number, self.clears = seq, number, clears
        self.parts.clear()
        self.first, self.stale = None, True

    def republish(self) -> None:
        """Nothing of it is in the table, or it is not known how much."""
        for part in self.parts.values():
            part.published = 0
        self.first, self.stale = None, True

    def cleared(self) -> list[tuple[UUID, int, int]]:
        """The rows to remove before the next are written."""
        if not (self.stale and self.parts):
            return []
        self.stale = False
        return [(self.run, self.clears, self.seq)]

    def rows(self) -> list[tuple[Any, ...]]:
        """What is not in the table yet, as its rows."""
        rows: list[tuple[Any, ...]] = []
        for index, part in sorted(self.parts.items()):
            text, start = part.text[part.published :], part.published
            if text:
                place = (self.run, self.seq, self.number, index, start)
                rows.append((*place, part.kind, seal_delta(self.key, place, text), len(text)))
                part.published, self.wrote = len(part.text), True
                self.first = index if self.first is None else self.first
        return rows


class LiveRun:
    """One response being generated, as its worker publishes it. Made by `LivePublisher.open`.

    Several may be open on one run at once. All methods return at once and never fail for want of a database.
    """

    def __init__(self, publisher: LivePublisher, attempt: _Attempt) -> None:
        self._publisher = publisher
        self._attempt = attempt

    def begin(self, seq: int, attempt: int) -> None:
        """A model starts to answer the request of event `seq`; text of an attempt before it is void."""
        if self._attempt.seq not in {0, seq}:
            self.end()
        # With nothing else open on the run, whatever rows there are were left by a worker that died.
        alone = self._publisher.enter(self._attempt)
        self._attempt.begin(seq, attempt, clears=0 if alone else seq)

    def delta(self, part: int, kind: Kind, text: str) -> None:
        """The part with this index in the response goes on with `text`."""
        if text:
            found = self._attempt.parts.setdefault(part, _Part(kind))
            found.text += text
            self._publisher.wake(self._attempt)

    def end(self) -> None:
        """The response is journaled, or given up: its rows may go."""
        self._publisher.leave(self._attempt)


def seal_delta(key: SubjectKey, place: tuple[Any, ...], text: str) -> bytes:
    """The sealed body of a row. Its place is sealed in: equal words do not look equal, rows cannot be swapped."""
    sealed = key.seal(_heading(place) + text.encode("utf-8", "surrogatepass"))
    return sealed.digest + sealed.body


def open_delta(key: SubjectKey, place: tuple[Any, ...], body: bytes) -> str | None:
    """The text of a row; None where the row is not the one sealed for this place."""
    plain = key.open(body[:_DIGEST_BYTES], body[_DIGEST_BYTES:])
    heading = _heading(place)
    return plain[len(heading) :].decode("utf-8", "replace") if plain.startswith(heading) else None


def _heading(place: tuple[Any, ...]) -> bytes:
    return (".".join(map(str, place)) + "\n").encode("ascii")


class LivePublisher:
    """Publishes the live text of all runs of a process, in one transaction for each tenant and moment."""

    def __init__(self, db: Database, hints: Hints, *, coalesce_s: float = COALESCE_S, check_s: float = CHECK_S) -> None:
        self._db = db
        self._hints = hints
        self._coalesce_s = coalesce_s
        self._check_s = check_s
        self._open: set[_Attempt] = set()
        self._of_run: Counter[tuple[UUID, UUID]] = Counter()
        self._dirty: set[_Attempt] = set()
        self._gone: list[tuple[UUID, UUID, int]] = []
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._sweep_at: dict[UUID, float] = {}

    def open(self, tenant: UUID, run: UUID, key: SubjectKey) -> LiveRun:
        """A response of this run is about to be generated."""
        return LiveRun(self, _Attempt(tenant, run, key))

    async def aclose(self) -> None:
        """Stop publishing. Text of responses that are not over stays: the next holder of the run removes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._gone:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_s):
                    await self._publish()

    # What live runs call.

    def enter(self, attempt: _Attempt) -> bool:
        """Watch over this attempt from now on. Answers whether it is new and the only one of its run."""
        if attempt in self._open:
            return False
        self._open.add(attempt)
        self._of_run[attempt.tenant, attempt.run] += 1
        return self._of_run[attempt.tenant, attempt.run] == 1

    def wake(self, attempt: _Attempt) -> None:
        """The attempt has text that is not published."""
        if attempt in self._open:
            self._dirty.add(attempt)
            self._woken.set()
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._publish_forever(), name="holdfast.live")

    def leave(self, attempt: _Attempt) -> None:
        """The attempt is over: remove what it published."""
        if attempt not in self._open:
            return
        self._open.discard(attempt)
        self._dirty.discard(attempt)
        self._of_run[attempt.tenant, attempt.run] -= 1
        if not self._of_run[attempt.tenant, attempt.run]:
            del self._of_run[attempt.tenant, attempt.run]
        if attempt.wrote:
            self._gone.append((attempt.tenant, attempt.run, attempt.seq))
            self._woken.set()

    # The task.

    async def _publish_forever(self) -> None:
        while self._open or self._gone:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_s):
                    await self._woken.wait()
            self._woken.clear()
            published = monotonic()
            await self._publish()
            # What comes within this time is written together; the first text after a silence did not wait.
            await asyncio.sleep(max(0.0, self._coalesce_s - (monotonic() - published)))

    async def _publish(self) -> None:
        dirty, self._dirty = self._dirty, set()
        gone, self._gone = self._gone, []
        lives = dirty | {attempt for attempt in self._open if attempt.first is not None}
        for tenant in {attempt.tenant for attempt in lives} | {tenant for tenant, _, _ in gone}:
            mine = [attempt for attempt in lives if attempt.tenant == tenant]
            over = [(run, seq, seq) for owner, run, seq in gone if owner == tenant]
            try:
                await self._publish_tenant(tenant, mine, over)
                self._failing = False
            except Exception as error:  # noqa: BLE001 - whatever it is: a publisher that ended would be missed by nobody
                self._gone += [entry for entry in gone if entry[0] == tenant]
                self._failed(error, mine)
                await asyncio.sleep(self._check_s)

    def _failed(self, error: Exception, lives: list[_Attempt]) -> None:
        for attempt in lives:
            attempt.republish()
            self.wake(attempt)
        said, self._failing = self._failing, True
        if not said:
            # Last, and whatever becomes of it: where logs go is the process's own affair, and may be broken.
            with suppress(Exception):
                _log.warning("live_text_not_published", error=str(error), runs=len(lives))

    async def _publish_tenant(self, tenant: UUID, lives: list[_Attempt], over: list[tuple[UUID, int, int]]) -> None:
        clear = over + [cleared for attempt in lives for cleared in attempt.cleared()]
        rows = [row for attempt in lives for row in attempt.rows()]
        watched = [attempt for attempt in lives if attempt.first is not None]
        for nth in await self._write(tenant, rows, clear, watched):
            watched[nth - 1].republish()
            self.wake(watched[nth - 1])
        for run in {row[0] for row in rows}:
            self._hints.notify(f"l:{run}")

    async def _write(
        self,
        tenant: UUID,
        rows: list[tuple[Any, ...]],
        clear: list[tuple[UUID, int, int]],
        watched: list[_Attempt],
    ) -> list[int]:
        """Publish in one transaction; the places in `watched` of attempts whose rows are gone."""
        async with self._db.tenant(tenant) as connection:
            # A crash empties the table anyhow: its commits need not wait for the disk.
            await connection.execute(query("live_no_wait"))
            if monotonic() >= self._sweep_at.get(tenant, 0.0):
                self._sweep_at[tenant] = monotonic() + SWEEP_S
                await connection.execute(query("live_sweep"), {"tenant": tenant, "older_than_s": KEPT_S})
            if clear:
                ranges = _columns(("runs", "firsts", "lasts"), clear)
                await connection.execute(query("live_drop"), {"tenant": tenant, **ranges})
            if rows:
                await connection.execute(query("live_publish"), {"tenant": tenant, **_columns(_ROW, rows)})
            if not watched:
                return []
            places = [(one.run, one.seq, one.number, one.first) for one in watched]
            named = {"tenant": tenant, **_columns(_ROW[:4], places)}
            cursor = await connection.execute(query("live_vanished"), named)
            return [nth for (nth,) in await cursor.fetchall()]


async def read_live(
    db: Database,
    tenant: UUID,
    run: UUID,
    key: SubjectKey,
    seqs: Sequence[int],
    seen: Iterable[tuple[int, int, int, int]] = (),
) -> list[LiveDelta]:
    """Live text of the responses asked for by events `seqs`, except what `seen` covers.

    `seen` is (seq, attempt, part, characters). Only the newest attempt of each request is given; the first
    delta of a part may begin before what was seen of it.
    """
    given = _columns(("seen_seqs", "seen_attempts", "seen_parts", "seen_offsets"), list(seen))
    named = {"tenant": tenant, "run": run, "seqs": list(seqs), **given}
    rows = await db.repeat(lambda: db.fetch(tenant, "live_read", named))
    newest: dict[int, int] = {}
    for row in rows:
        newest[row[0]] = max(row[1], newest.get(row[0], 0))
    found: list[LiveDelta] = []
    for seq, attempt, part, start, kind, body in rows:
        text = open_delta(key, (run, seq, attempt, part, start), body) if attempt == newest[seq] else None
        if text is not None:
            found.append(LiveDelta(seq, attempt, part, kind, start, text))
    return found


async def live_context(db: Database, tenant: UUID, run: UUID, upto: int) -> list[StoredEvent]:
    """The events up to `upto` that say which model requests are open there."""
    named = {"tenant": tenant, "run": run, "upto": upto}
    rows = await db.repeat(lambda: db.fetch(tenant, "live_context", named))
    return [StoredEvent(tenant, run, *row) for row in rows]


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Mapping[str, list[Any]]:
    """One array for each column, as `unnest` takes them."""
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


_ROW = ("runs", "seqs", "attempts", "parts", "starts", "kinds", "bodies", "lengths")
