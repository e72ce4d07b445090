"""Messages that a tool enqueues for the conversation are part of its outcome: on replay the tool is not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pydantic_ai.messages import ModelRequest

from holdfast.engine.codec import dump_message, load_message, parse

if TYPE_CHECKING:
    from pydantic_ai.tools import RunContext

    from holdfast.domain.ids import Ref
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder


def waiting(context: RunContext[Any]) -> frozenset[str]:
    """The ids of messages that wait already."""
    return frozenset(pending.enqueue_id for pending in context.pending_messages or ())


def enqueued_since(recorder: Recorder, call: ToolCall, context: RunContext[Any], before: frozenset[str]) -> Ref | None:
    """What `call` enqueued, as stored; None: nothing."""
    found: list[dict[str, Any]] = []
    for pending in context.pending_messages or ():
        # Where the framework knows which call it was: siblings share the queue.
        source: tuple[str, int] | None = getattr(pending, "_tool_call", None)
        if pending.enqueue_id in before or pending.enqueue_id in recorder.enqueued:
            continue
        if source is not None and source != (context.tool_call_id, call.step):
            continue
        recorder.enqueued.add(pending.enqueue_id)
        messages = [parse(dump_message(message)) for message in pending.messages]
        found.append({"priority": pending.priority, "beside": source is not None, "messages": messages})
    if not found:
        return None
    plain = orjson.dumps(found)
    ref = recorder.seal(plain)
    recorder.know(ref, plain)
    return ref


def enqueue_again(context: RunContext[Any], raw: bytes) -> None:
    """Enqueue what `enqueued_since` stored."""
    for stored in parse(raw):
        messages = [load_message(orjson.dumps(message)) for message in stored["messages"]]
        [first, *more] = messages
        if stored["beside"] and isinstance(first, ModelRequest) and not more:
            context.enqueue(*first.parts, priority=stored["priority"])
        else:
            context.enqueue(*messages, priority=stored["priority"])
