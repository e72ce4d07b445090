"""Events that a call emits into its run's event stream are part of its outcome: on replay the tool is not run.

They are heard at the moment they are emitted: the framework drains its buffer into listeners and stream handlers at
once, so at the end of the call nothing of them is left to look at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError
from pydantic_ai.durable_exec import JSON_CODEC
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    CAPABILITY_EVENT_TYPES,
    CUSTOM_EVENT_TYPES,
    CapabilityEvent,
    CustomEvent,
)
from pydantic_ai.tools import RunContext

from holdfast.domain.errors import TooLarge
from holdfast.engine.codec import Unserialisable, dump_result, parse

if TYPE_CHECKING:
    from holdfast.domain.ids import Ref
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder

Emitted = CustomEvent | CapabilityEvent

log = structlog.get_logger("holdfast.engine")


def hear(call: ToolCall, event: Emitted) -> None:
    """Take in an event that `call` has just emitted, as it is now: an emitter may change and emit it again."""
    try:
        plain = dump_result(event)
    except Unserialisable as error:
        # Too late to refuse: whatever the tool does outside may be done. The listeners of this worker see it.
        log.warning("event_not_recorded", tool=call.tool, kind=type(event).__qualname__, error=str(error))
        plain = None
    call.attempt.emitted.append(plain)


def emitted(recorder: Recorder, call: ToolCall) -> Ref | None:
    """What `call` has emitted, as stored; None: nothing."""
    found = [plain for plain in call.attempt.emitted if plain is not None]
    if not found:
        return None
    plain = b"[" + b",".join(found) + b"]"
    try:
        ref = recorder.seal(plain)
    except TooLarge as error:
        log.warning("events_not_recorded", tool=call.tool, count=len(found), error=str(error))
        return None
    recorder.know(ref, plain)
    return ref


async def emit_again(call: ToolCall, context: RunContext[Any], raw: bytes) -> None:
    """Emit what `emitted` stored, in the same order.

    A listener that is called before `emit` returns may emit in turn. Those events are recorded behind the one that
    it listened to; it emits them again by itself, so here they are passed over.
    """
    heard, passed_over = call.attempt.emitted, 0
    for stored in (event["value"] for event in parse(raw)):
        if passed_over:
            passed_over -= 1
            continue
        event = _load(stored)
        if event is None:
            log.warning("event_not_replayed", tool=call.tool, kind=stored.get("name") or stored.get("kind"))
            continue
        before = len(heard)
        await context.emit(event)
        passed_over = max(0, len(heard) - before - 1)


def _load(stored: dict[str, Any]) -> Emitted | None:
    """The event; of a family's unknown kind where its class is not there any more, None where it has changed."""
    if stored["event_kind"] == "custom":
        cls = CUSTOM_EVENT_TYPES.get(stored["name"], CustomEvent)
    else:
        cls = CAPABILITY_EVENT_TYPES.get(stored["kind"], CapabilityEvent)
    try:
        return JSON_CODEC.load(cls, stored)
    except ValidationError:
        return None


@dataclass(repr=False, kw_only=True)
class HeardContext(RunContext[Any]):
    """The context of a sub-agent's tool: the engine has no capability in that run which would be told of events."""

    heard_by: ToolCall | None = field(default=None, repr=False)

    @classmethod
    def of(cls, context: RunContext[Any], call: ToolCall) -> HeardContext:
        """`context`, and what is emitted through it is heard as of `call`."""
        made = cls.__new__(cls)
        made.__dict__.update(context.__dict__)
        made.heard_by = call
        return made

    async def emit(self, event: Any, /) -> Any:
        """Emit the event, and remember it."""
        assert self.heard_by is not None
        heard = self.heard_by.attempt.emitted
        # First this one, then what its listeners emit in turn.
        place = len(heard)
        hear(self.heard_by, event)
        try:
            return await super().emit(event)
        except UserError:
            del heard[place:]
            raise
