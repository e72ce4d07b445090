"""Where a reader stands in a run's stream.

The stream of a run is its durable events in order, and between them the text of model responses as it is
generated. Several responses may be generated at once (sub-agents) and one may have several parts, so a place
in the stream is the last durable event seen plus, for each response still open, how much of each part was
seen. It is written as terms joined by `_`. The first is what was delivered there:

- `<seq>`: a durable event;
- `<seq>.<attempt>.<part>.<offset>`: text, up to `offset` characters, of the response asked for by event `seq`;
- `<seq>.<attempt>.void`: the word that the text of this attempt is void.

No two items of a stream have the same first term. The others say what else had been seen. Most places need
one term only. Nothing in it is a database id, so it means the same on every replica and after every crash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from holdfast.domain.errors import InvalidCursor

_TERM = re.compile(r"(\d{1,18})(?:\.(\d{1,9})\.(\d{1,9})\.(\d{1,9}))?", re.ASCII)
_VOID = re.compile(r"\d{1,18}\.\d{1,9}\.void_(?=\d)", re.ASCII)
_MAX_CHARS = 16_384


@dataclass(slots=True)
class SeenAttempt:
    """How much text of one attempt at a model request was seen, in characters, by part."""

    attempt: int
    parts: dict[int, int] = field(default_factory=dict[int, int])


@dataclass(slots=True)
class StreamCursor:
    """A place in a run's stream."""

    seq: int = 0
    """The last durable event seen."""
    seen: dict[int, SeenAttempt] = field(default_factory=dict[int, SeenAttempt])
    """By the sequence of the event that asked for the response."""

    @classmethod
    def parse(cls, text: str) -> StreamCursor:
        """The place that `text` names; an empty text is the beginning.

        Raises:
            InvalidCursor: this interface did not write it.
        """
        if not text:
            return cls()
        if len(text) > _MAX_CHARS:
            raise _invalid(text)
        durable: int | None = None
        texts: list[tuple[int, int, int, int]] = []
        for term in _stated(text):
            match = _TERM.fullmatch(term)
            if match is None:
                raise _invalid(text)
            if match[2] is None:
                if durable is not None:
                    raise _invalid(text)
                durable = int(match[1])
            else:
                texts.append((int(match[1]), int(match[2]), int(match[3]), int(match[4])))
        cursor = cls(texts[0][0] if durable is None else durable)
        for seq, attempt, part, offset in texts:
            seen = cursor.seen.setdefault(seq, SeenAttempt(attempt))
            if seq > cursor.seq or seen.attempt != attempt or part in seen.parts:
                raise _invalid(text)
            seen.parts[part] = offset
        return cursor

    def at_event(self) -> str:
        """This place, right behind durable event `seq`."""
        return "_".join([str(self.seq), *self._others(None)])

    def at_text(self, seq: int, part: int) -> str:
        """This place, right behind text of `part` of the response asked for by `seq`."""
        seen = self.seen[seq]
        terms = [f"{seq}.{seen.attempt}.{part}.{seen.parts[part]}"]
        if seq != self.seq:
            terms.append(str(self.seq))
        return "_".join([*terms, *self._others((seq, part))])

    def at_void(self, seq: int, attempt: int) -> str:
        """This place, right behind the word that an attempt is void."""
        return f"{seq}.{attempt}.void_{self.at_event()}"

    def _others(self, delivered: tuple[int, int] | None) -> list[str]:
        return [
            f"{seq}.{seen.attempt}.{part}.{offset}"
            for seq, seen in sorted(self.seen.items())
            for part, offset in sorted(seen.parts.items())
            if (seq, part) != delivered
        ]


def _stated(text: str) -> list[str]:
    """The terms that say what was seen: a void that was delivered needs none, its text is forgotten."""
    void = _VOID.match(text)
    return text[void.end() if void else 0 :].split("_")


def _invalid(text: str) -> InvalidCursor:
    return InvalidCursor(
        f"'{text[:80]}' is not a place in this stream. Send the id of an event you received, or nothing to begin "
        "at the start."
    )
