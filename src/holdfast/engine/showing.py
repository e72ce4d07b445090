"""What watching clients see of a response while it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import (
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
)

if TYPE_CHECKING:
    from holdfast.store.live import LiveRun


def show(live: LiveRun, event: Any) -> None:
    """Publish the text of an event of the framework's, where it has any."""
    match event:
        case PartStartEvent(index=index, part=TextPart(content=text)) if text:
            live.delta(index, "text", text)
        case PartStartEvent(index=index, part=ThinkingPart(content=text)) if text:
            live.delta(index, "thinking", text)
        case PartDeltaEvent(index=index, delta=TextPartDelta(content_delta=text)) if text:
            live.delta(index, "text", text)
        case PartDeltaEvent(index=index, delta=ThinkingPartDelta(content_delta=text)) if text:
            live.delta(index, "thinking", text)
        case _:
            pass
