"""From an event to the bytes that are stored: checked before they are queued beside other runs' events."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import orjson

from holdfast.domain.errors import AppendRejected, TooLarge
from holdfast.domain.events import AnyEvent, Messages, Usage
from holdfast.domain.ids import Ref
from holdfast.domain.stored import dump
from holdfast.store.journal.shapes import USAGE_NUMBERS, Shape

EVENT_BYTES = 64 * 1024
"""The longest body of one event. A longer list of messages goes to content of its own."""


def encode(run: UUID, event: AnyEvent, shape: Shape, seal: Callable[[bytes], Ref]) -> bytes:
    """The body of an event. A list of messages too long for it is sealed apart and referred to.

    Raises:
        AppendRejected: the event holds what cannot be stored or would not load again.
        TooLarge: it is longer than 64 KiB though its messages are stored apart.
    """
    # No field is a float. orjson writes NaN as null and 0.5 as 0.5: either loads as an error, for ever.
    if float in map(type, shape.numbers(event)) or (shape.used and _has_floats(cast("Any", event).usage)):
        raise AppendRejected(
            run, f"A number of a '{event.type}' event is a float, and journals hold whole numbers: convert it."
        )
    try:
        body = dump(event)
        if len(body) <= EVENT_BYTES:
            return body
        body = dump(_messages_apart(event, shape, seal))
    except orjson.JSONEncodeError as error:
        raise AppendRejected(run, f"A '{event.type}' event cannot be written as JSON: {error}.") from error
    if len(body) > EVENT_BYTES:
        raise TooLarge(
            f"A '{event.type}' event of run {run} has {len(body)} bytes; the limit is {EVENT_BYTES}. "
            "Store what is long as content and name it by its reference."
        )
    return body


def _messages_apart(event: AnyEvent, shape: Shape, seal: Callable[[bytes], Ref]) -> AnyEvent:
    changes: dict[str, Any] = {}
    for name in shape.messages:
        messages = cast("Messages", getattr(event, name))
        if messages.add:
            changes[name] = Messages(keep=messages.keep, more=seal(orjson.dumps(messages.add)))
    return replace(event, **changes) if changes else event


def _has_floats(usage: Usage | None) -> bool:
    if usage is None:
        return False
    return float in map(type, USAGE_NUMBERS(usage)) or float in map(type, usage.details.values())
