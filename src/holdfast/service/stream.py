"""What a reader of a run's stream is given next. Pure: the journal and live text go in, items come out.

The rules: durable events come in order. Text of a response comes after the event that asked for it and
before the event that records it; what was not seen live is served from the recorded response, so whoever
reads the stream gets the whole text whenever and wherever they join. If the request was given up instead
(failed, asked again, its worker died, the run ended) and text of it was seen, it is declared void right
before the event that shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from holdfast.domain import events as ev
from holdfast.domain.events import AnyEvent
from holdfast.service.cursor import SeenAttempt, StreamCursor
from holdfast.service.views import DeltaView, VoidView
from holdfast.store.live import LiveDelta

_KINDS = {"text": "text", "thinking": "thinking", "tool-call": "tool_call"}


class Stream:
    """Where one reader stands, and which responses are open there."""

    def __init__(self, cursor: StreamCursor) -> None:
        self.cursor = cursor
        self._open: dict[int, ev.ModelRequested] = {}

    @property
    def open(self) -> list[int]:
        """The events whose responses are being generated, as far as this reader knows."""
        return sorted(self._open)

    def recall(self, seq: int, event: AnyEvent) -> None:
        """Take in an event that the reader had before: only what it opens or closes matters."""
        for closed in self._closed_by(event):
            del self._open[closed]
        self._opened_by(seq, event)

    def forget_closed(self) -> None:
        """Drop text the cursor names of responses that are not open: nothing more comes of them."""
        self.cursor.seen = {seq: seen for seq, seen in self.cursor.seen.items() if seq in self._open}

    def text_of(self, rows: Iterable[LiveDelta]) -> Iterator[DeltaView | VoidView]:
        """What live text the reader has not seen; a newer attempt voids what was seen of an older one."""
        for row in rows:
            if row.seq not in self._open:
                continue
            seen = self.cursor.seen.get(row.seq)
            if seen is not None and seen.attempt < row.attempt:
                yield self._void(row.seq)
            elif seen is not None and seen.attempt > row.attempt:
                continue
            yield from self._text(row.seq, row.attempt, row.part, row.kind, row.start, row.text)

    def before(self, event: AnyEvent, response: Any) -> Iterator[DeltaView | VoidView]:
        """What comes before `event`, the next: the rest of a response's text, and what is void.

        `response` is the recorded response as JSON shapes where `event` records one that can be read.
        """
        for seq in self._closed_by(event):
            request = self._open[seq]
            if isinstance(event, ev.ModelResponded) and request.attempt <= event.attempt and request.streamed:
                yield from self._rest(seq, event.attempt, response)
            elif seq in self.cursor.seen:
                yield self._void(seq)

    def deliver(self, seq: int, event: AnyEvent) -> str:
        """Step over `event`; the reader's place behind it."""
        for closed in self._closed_by(event):
            del self._open[closed]
            self.cursor.seen.pop(closed, None)
        self._opened_by(seq, event)
        self.cursor.seq = seq
        return self.cursor.at_event()

    def _opened_by(self, seq: int, event: AnyEvent) -> None:
        if isinstance(event, ev.ModelRequested):
            self._open[seq] = event

    def _closed_by(self, event: AnyEvent) -> list[int]:
        match event:
            case ev.RunClaimed() | ev.RunSucceeded() | ev.RunFailed() | ev.RunCancelled():
                return self.open
            case ev.ModelRequested() | ev.ModelResponded() | ev.ModelFailed():
                place = (event.scope, event.step)
                return [seq for seq in self.open if (self._open[seq].scope, self._open[seq].step) == place]
            case _:
                return []

    def _rest(self, seq: int, attempt: int, response: Any) -> Iterator[DeltaView | VoidView]:
        seen = self.cursor.seen.get(seq)
        if seen is not None and seen.attempt != attempt:
            yield self._void(seq)
        for part, kind, text in texts_of(response):
            yield from self._text(seq, attempt, part, kind, 0, text)

    def _text(self, seq: int, attempt: int, part: int, kind: Any, start: int, text: str) -> Iterator[DeltaView]:
        seen = self.cursor.seen.get(seq)
        offset = 0 if seen is None else seen.parts.get(part, 0)
        fresh = text[offset - start :] if offset >= start else ""
        if not fresh:
            return
        seen = self.cursor.seen.setdefault(seq, SeenAttempt(attempt))
        seen.parts[part] = offset + len(fresh)
        id_ = self.cursor.at_text(seq, part)
        yield DeltaView(id=id_, seq=seq, attempt=attempt, part=part, kind=kind, start=offset, text=fresh)

    def _void(self, seq: int) -> VoidView:
        attempt = self.cursor.seen.pop(seq).attempt
        return VoidView(id=self.cursor.at_void(seq, attempt), seq=seq, attempt=attempt)


def texts_of(response: Any) -> Iterator[tuple[int, str, str]]:
    """The parts of a stored response that are streamed as text: index, kind, text."""
    if not isinstance(response, dict):
        return
    message = cast("dict[str, Any]", response)
    for index, part in enumerate(message.get("parts") or ()):
        kind = _KINDS.get(part.get("part_kind", ""))
        text: Any = part.get("args" if kind == "tool_call" else "content")
        if kind is not None and isinstance(text, str):
            yield index, kind, text
