"""From an event to the bytes that are stored: checked before they are queued beside other runs' events."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, cast
from uuid import UUID

import orjson

from holdfast.domain.errors import AppendRejected, TooLarge
from holdfast.domain.events import AnyEvent, Messages, Usage, dump
from holdfast.domain.ids import Ref

EVENT_BYTES = 64 * 1024
"""The longest body of one event. A longer list of messages goes to content of its own."""

_number_fields: dict[type, tuple[str, ...]] = {}
_message_fields: dict[type, tuple[str, ...]] = {}


def encode(run: UUID, event: AnyEvent, seal: Callable[[bytes], Ref]) -> bytes:
    """The body of an event. A list of messages too long for it is sealed apart and referred to.

    Raises:
        AppendRejected: the event holds what cannot be stored or would not load again.
        TooLarge: it is longer than 64 KiB though its messages are stored apart.
    """
    _refuse_floats(run, event)
    try:
        body = dump(event)
        if len(body) <= EVENT_BYTES:
            return body
        body = dump(_messages_apart(event, seal))
    except orjson.JSONEncodeError as error:
        raise AppendRejected(run, f"A '{event.type}' event cannot be written as JSON: {error}.") from error
    if len(body) > EVENT_BYTES:
        raise TooLarge(
            f"A '{event.type}' event of run {run} has {len(body)} bytes; the limit is {EVENT_BYTES}. "
            "Store what is long as content and name it by its reference."
        )
    return body


def _messages_apart(event: AnyEvent, seal: Callable[[bytes], Ref]) -> AnyEvent:
    names = _message_fields.get(type(event))
    if names is None:
        names = _message_fields[type(event)] = _fields_of(event, "Messages")
    changes: dict[str, Any] = {}
    for name in names:
        messages = cast("Messages", getattr(event, name))
        if messages.add:
            changes[name] = Messages(keep=messages.keep, more=seal(orjson.dumps(messages.add)))
    return replace(event, **changes) if changes else event


def _refuse_floats(run: UUID, event: AnyEvent) -> None:
    # No field is a float. orjson writes NaN as null and 0.5 as 0.5: either loads as an error, for ever.
    kind = type(event)
    names = _number_fields.get(kind)
    if names is None:
        names = _number_fields[kind] = _fields_of(event, "int")
    for name in names:
        if type(getattr(event, name)) is float:
            raise _float_found(run, event, name)
    usage: Usage | None = getattr(event, "usage", None)
    if usage is not None:
        counts = (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.requests,
            usage.tool_calls,
            *usage.details.values(),
        )
        if float in map(type, counts):
            raise _float_found(run, event, "usage")


def _float_found(run: UUID, event: AnyEvent, name: str) -> AppendRejected:
    return AppendRejected(
        run,
        f"'{name}' of a '{event.type}' event is a float, and journals hold whole numbers: convert it.",
    )


def _fields_of(event: AnyEvent, annotation: str) -> tuple[str, ...]:
    # Annotations of the events module are strings, as it has `from __future__ import annotations`.
    return tuple(field.name for field in fields(event) if annotation in str(field.type).split(" | "))
