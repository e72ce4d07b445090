"""What a run's journal says of its conversation: every message in it, those that the run was not given included.

Pure. Messages are named `<run>/<digest>`: the run by which a message came into the conversation, and its content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import TypeAdapter

from holdfast.domain import events as ev
from holdfast.domain.events import AnyEvent, Messages, Withheld

TELLING = frozenset({ev.HistoryEntered.type, ev.ModelRequested.type, ev.ModelResponded.type, ev.RunSucceeded.type})
"""The types of events that say something of it."""

Apart: TypeAlias = Mapping[str, list[Any]]
"""Lists that were too long for their event, as JSON shapes, by the reference that stands there instead."""

_WITHHELD = TypeAdapter(list[Withheld])


def lists_of(event: AnyEvent) -> list[Messages]:
    """The message lists of an event that are the conversation's: those of sub-agents are not."""
    match event:
        case ev.HistoryEntered(whole=found):
            return [found]
        case ev.ModelRequested(scope="", messages=found) | ev.ModelResponded(scope="", history=found):
            return [found]
        case ev.RunSucceeded(history=found):
            return [found]
        case _:
            return []


def apart_of(event: AnyEvent) -> list[str]:
    """The references that stand for lists of the conversation's in this event."""
    more = [event.more] if isinstance(event, ev.HistoryEntered) else []
    return [ref for ref in (*more, *(found.more for found in lists_of(event))) if ref is not None]


def withheld(entered: ev.HistoryEntered, apart: Apart) -> list[Withheld]:
    """The messages that were withheld, wherever they are written."""
    return entered.withheld if entered.more is None else _WITHHELD.validate_python(apart[entered.more])


def conversation(run: UUID, events: Iterable[AnyEvent], apart: Apart) -> list[str]:
    """The messages of the conversation as this run left it.

    What was withheld from the run stands where it stood before, so that it can be given again, unless the run's own
    code rewrote the history it was given: then that is the conversation.
    """
    refs: list[str] = []
    entered: ev.HistoryEntered | None = None
    for event in events:
        if isinstance(event, ev.HistoryEntered):
            entered = event
            continue
        for delta in lists_of(event):
            refs[delta.keep :] = added(delta, apart)
    if entered is not None and entered.count:
        whole = added(entered.whole, apart)
        before = given(whole, withheld(entered, apart))
        if refs[: len(before)] == before:
            refs = whole + refs[len(before) :]
    return [ref if "/" in ref else f"{run}/{ref}" for ref in refs]


def added(delta: Messages, apart: Apart) -> list[str]:
    """What a list adds, wherever it is written."""
    return delta.add if delta.more is None else apart[delta.more]


def given(whole: Sequence[str], gone: Iterable[Withheld]) -> list[str]:
    """What is left of the messages once some are withheld, with what stands in their place."""
    instead = {one.message: one.stand_in for one in gone}
    found = [instead.get(ref, ref) for ref in whole]
    return [ref for ref in found if ref is not None]


def own(run: UUID, refs: Iterable[str]) -> list[str]:
    """Those that came into the conversation by this run. Their places count from 1 and never change."""
    return [ref for ref in refs if ref.startswith(f"{run}/")]
