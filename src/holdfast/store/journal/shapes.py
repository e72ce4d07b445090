"""What the journal knows of each type of event, found out once: how it is named, numbered and counted.

Appending is a hot path. What depends on an event's type alone is made here when the module loads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from struct import Struct
from typing import Any

from holdfast.domain.events import (
    EVENT_TYPES,
    INTENTS,
    OUTCOMES,
    AnyEvent,
    CallHandedOut,
    Event,
    ModelRequested,
    ModelResponded,
    ToolStarted,
    Usage,
)
from holdfast.store.journal.rows import Counters

INTENT, PROGRESS, REWOUND, UNBOUNDED = 1, 2, 4, 8
"""The flags of a member, as the SQL function knows them."""

_length = Struct(">H").pack


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of event."""

    name: bytes
    """As it is stored."""
    hashed: bytes
    """As it is hashed: its length and itself."""
    flag: int
    """INTENT, PROGRESS or neither."""
    counts: Counters | None
    """What each event of the type adds to the run's counters; tokens are the event's own to say."""
    numbers: Callable[[Any], tuple[Any, ...]]
    """What must be whole numbers in an event of this type."""
    messages: tuple[str, ...]
    """The fields that hold message lists."""
    used: bool
    """Whether it has a `usage`."""


def _shape(cls: type[Event]) -> Shape:
    name = cls.type.encode()
    return Shape(
        name=name,
        hashed=_length(len(name)) + name,
        flag=INTENT if cls.type in INTENTS else PROGRESS if cls.type in OUTCOMES else 0,
        counts=_COUNTS.get(cls),
        numbers=_values_of(_fields(cls, "int")),
        messages=_fields(cls, "Messages"),
        used="usage" in {field.name for field in fields(cls)},
    )


def _fields(cls: type[Any], annotation: str) -> tuple[str, ...]:
    # Annotations of the events module are strings, as it has `from __future__ import annotations`.
    return tuple(field.name for field in fields(cls) if annotation in str(field.type).split(" | "))


def _values_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    # Given one name, `attrgetter` gives no tuple.
    return attrgetter(*names, names[0])


_COUNTS: dict[type[Event], Counters] = {
    ModelRequested: Counters(steps=1, model_requests=1),
    ToolStarted: Counters(steps=1, tool_calls=1),
    CallHandedOut: Counters(steps=1, tool_calls=1),
}
"""A step is a model request or a tool call, counted when it is announced."""

SHAPES: dict[type[AnyEvent], Shape] = {cls: _shape(cls) for cls in EVENT_TYPES.values()}
"""By the event's class."""

USAGE_NUMBERS = _values_of(_fields(Usage, "int"))


def counted(event: AnyEvent, shape: Shape) -> Counters | None:
    """What this event adds to the run's counters."""
    if type(event) is ModelResponded:
        return Counters(input_tokens=event.usage.input_tokens, output_tokens=event.usage.output_tokens)
    return shape.counts
