"""What people are asked about a call, and what their decision is bound to."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from holdfast.domain import events as ev
from holdfast.engine.codec import dump_json

if TYPE_CHECKING:
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder


def question(recorder: Recorder, call: ToolCall, metadata: Any = None) -> ev.ApprovalAsked:
    """Whether `call` may be made, with exactly these arguments."""
    args = recorder.seal(call.args)
    return ev.ApprovalAsked(
        approval=recorder.gear.new_id(),
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        args=args,
        digest=binding(recorder, call, args),
        metadata=recorder.seal(dump_json(metadata)) if metadata else None,
    )


def binding(recorder: Recorder, call: ToolCall, args: str) -> str:
    """What a decision is bound to: this run, this call, this tool with this schema, exactly these arguments."""
    claimed = recorder.claimed
    parts = (
        str(claimed.tenant),
        str(claimed.run),
        call.scope,
        str(call.step),
        call.call,
        call.tool,
        call.schema,
        args,
        claimed.principal,
    )
    preimage = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode("utf-8", "surrogatepass") for part in parts)
    return hashlib.sha256(b"holdfast.approval.1\n" + preimage).hexdigest()
