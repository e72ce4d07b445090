"""Events as readers get them: their fields, and the content they name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from holdfast.domain.events import EVENT_TYPES, AnyEvent
from holdfast.domain.stored import UnknownEvent
from holdfast.service.contents import Plain, shown_field
from holdfast.service.views import EventView
from holdfast.store.hashing import StoredEvent

SHOWN: dict[str, tuple[str, ...]] = {
    "run_accepted": ("input",),
    "model_responded": ("response", "retry"),
    "model_failed": ("message",),
    "tool_started": ("args", "facts"),
    "tool_finished": ("result",),
    "output_started": ("args",),
    "output_processed": ("result",),
    "approval_asked": ("args", "metadata", "received", "why", "sources", "facts"),
    "approval_decided": ("args", "reason"),
    "question_asked": ("args", "metadata", "sources"),
    "call_handed_out": ("args", "metadata", "sources", "facts"),
    "question_answered": ("answer", "reason"),
    "call_denied": ("args", "why", "facts"),
    "loop_detected": ("args", "why"),
    "effect_resolved": ("result",),
    "message_received": ("message",),
    "cancel_requested": ("reason",),
    "run_diverged": ("recorded", "found"),
    "run_succeeded": ("output",),
    "run_failed": ("message",),
}
"""The fields whose content is shown. Message lists, tool lists and settings are named by digest only."""

FINAL = frozenset({"run_succeeded", "run_failed", "run_cancelled"})
"""The types that end a journal."""

assert SHOWN.keys() <= EVENT_TYPES.keys()


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """A stored event, taken apart once."""

    stored: StoredEvent
    event: AnyEvent | None
    """None where a newer Holdfast wrote it."""
    data: dict[str, Any]
    refs: dict[str, str]
    """The content that is shown, by field."""

    @classmethod
    def of(cls, stored: StoredEvent) -> ReadEvent:
        """Take an event apart; one that a newer Holdfast wrote is shown as it is stored."""
        try:
            event = stored.load()
        except UnknownEvent:
            return cls(stored, None, orjson.loads(stored.body)["e"], {})
        data = asdict(event)
        refs = {field: data[field] for field in SHOWN.get(stored.type, ()) if data[field] is not None}
        return cls(stored, event, data, refs)

    @property
    def seq(self) -> int:
        """Its place in the journal."""
        return self.stored.seq

    @property
    def ends(self) -> bool:
        """Whether it is the run's last event."""
        return self.stored.type in FINAL

    def view(self, plain: Plain, id_: str | None = None) -> EventView:
        """The event with its content; `id_` is the reader's place behind it."""
        return EventView(
            id=id_ or str(self.seq),
            seq=self.seq,
            type=self.stored.type,
            at=self.stored.at,
            data=self.data,
            content={field: shown_field(field, ref, plain) for field, ref in self.refs.items()},
        )
