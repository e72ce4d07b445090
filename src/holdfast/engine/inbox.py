"""The inbox of one run, as the execution that holds the run empties it.

Signals never write a journal. Whoever holds the run folds them in as events, at the start and whenever it is told that
there is more; what is overlooked is found when the run wants to park or to end, which is refused until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from holdfast.domain import errors
from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.engine.folding import fold
from holdfast.engine.interrupt import Cancelling, Interrupt, Lost
from holdfast.store.inbox import Signal, read_inbox
from holdfast.store.journal import ApprovalClosed

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder
    from holdfast.store.claims import Claimed
    from holdfast.store.pool import Database
    from holdfast.store.vault import SubjectKey

log = structlog.get_logger("holdfast.engine")

_AGAIN_S = 1.0


class Inbox:
    """Reads signals, and writes what they mean."""

    def __init__(self, db: Database, claimed: Claimed) -> None:
        self._db, self._claimed = db, claimed
        self._noticed = asyncio.Event()

    def notice(self) -> None:
        """There is something new."""
        self._noticed.set()

    async def fold(self, recorder: Recorder, key: SubjectKey) -> list[ev.AnyEvent]:
        """Fold what there is into the journal. Committed when this returns."""
        self._noticed.clear()
        claimed = self._claimed
        signals = await read_inbox(self._db, claimed.tenant, claimed.run, after=recorder.journal.folded_seq)
        if not signals:
            return []

        def seal(plain: bytes) -> Ref:
            ref = recorder.seal(plain)
            recorder.know(ref, plain)
            return ref

        events = fold(signals, recorder.replay, lambda signal: _plain(signal, key), seal)
        recorder.behind = bool(events)
        seq = await recorder.fold(events, signals[-1].seq, closes=_closed(events))
        for offset, event in enumerate(events):
            recorder.replay.add(seq - len(events) + 1 + offset, event)
        recorder.behind, recorder.news = False, recorder.news or bool(events)
        return events

    async def watch(self, recorder: Recorder, key: SubjectKey, interrupt: Callable[[Interrupt], None]) -> None:
        """Fold in what arrives while the agent works, and interrupt it where that says so."""
        while True:
            await self._noticed.wait()
            try:
                folded = await self.fold(recorder, key)
            except (errors.RunLost, Lost) as lost:
                interrupt(Lost(str(lost)))
                return
            except errors.HoldfastError as error:
                log.warning("inbox_unread", run=str(self._claimed.run), error=str(error))
                await asyncio.sleep(_AGAIN_S)
                self._noticed.set()
                continue
            if any(isinstance(event, ev.CancelRequested) for event in folded):
                interrupt(Cancelling("cancellation was asked for"))
                return


def _closed(events: list[ev.AnyEvent]) -> list[ApprovalClosed]:
    """The tasks that nobody has to decide any more: of a late report, that is. A person's decision closed its own."""
    return [
        ApprovalClosed(id=event.approval, closed=event.resolution, by=event.by)
        for event in events
        if isinstance(event, ev.EffectResolved) and event.approval is not None
    ]


def _plain(signal: Signal, key: SubjectKey) -> bytes | None:
    if signal.content is None or signal.digest is None:
        return None
    return key.open(signal.digest, signal.content)
