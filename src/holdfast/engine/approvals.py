"""Calls that wait for a person: asked once, decided by others, bound to exactly what was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolApproved, ToolDenied

from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn
from holdfast.effects.declare import Declaration
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import canonical, dump_json, parse
from holdfast.engine.errors import ApprovalMismatch
from holdfast.engine.handlers import handled
from holdfast.engine.inspect import schema_digest
from holdfast.engine.interrupt import Park
from holdfast.engine.question import binding, question
from holdfast.engine.replay import ApprovalEntry
from holdfast.store.journal import ApprovalRow

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.seam import Seam


async def decide_batch(
    seam: Seam, ctx: RunContext[Any], requests: DeferredToolRequests, *, handlers: bool
) -> DeferredToolResults | None:
    """What the agent's own handlers, where it has any, and people decided about a batch of calls.

    Returns: a result for each call that asks for approval, and for those others that a handler answered; None when
        there is none.

    Raises:
        Park: not every call is decided yet.
    """
    recorder = seam.recorder
    shown = {call.tool_call_id: _shown(seam, ctx, call) for call in requests.approvals}
    results = DeferredToolResults()
    if handlers:
        results = await handled(recorder, seam.scope, ctx, requests, shown)
    entries = {call: await ask(recorder, seen, requests.metadata.get(call)) for call, seen in shown.items()}
    waiting = sum(entry.decided is None for entry in entries.values())
    if waiting:
        decided = len(entries) - waiting
        raise Park(WaitingOn.APPROVAL, f"{waiting} to decide" + (f", {decided} decided" if decided else ""))
    for call, entry in entries.items():
        results.approvals[call] = _verdict(recorder, entry)
    if handlers and requests.remaining(results) is not None and not _may_end_with(requests, ctx):
        names = ", ".join(
            sorted(f"'{call.tool_name}'" for call in requests.calls if call.tool_call_id not in results.calls)
        )
        raise UserError(f"{names} asked for an answer from outside, and no handler of the agent's gave one.")
    return results if results.approvals or results.calls else None


def _may_end_with(requests: DeferredToolRequests, ctx: RunContext[Any]) -> bool:
    """Whether the agent's output may be the calls that nobody answered."""
    types: Any = None if ctx.agent is None else ctx.agent.output_type
    return types is type(requests) or (isinstance(types, list | tuple) and type(requests) in types)


async def ask(recorder: Recorder, call: ToolCall, metadata: Any = None) -> ApprovalEntry:
    """Put a call before people, unless it was before. Committed when this returns."""
    key = (call.scope, call.step, call.call, False)
    known = recorder.replay.approvals.get(key)
    if known is not None:
        return known
    asked = question(recorder, call, metadata)
    # Known before it is committed: the reply may be lost, and the decision be there before the writer has found out.
    recorder.replay.add(recorder.journal.seq, asked)
    await recorder.record(
        asked,
        approvals=[
            ApprovalRow(
                id=asked.approval,
                kind="approval",
                scope=call.scope,
                step=call.step,
                call=call.call,
                tool=call.tool,
                args=asked.args,
                digest=asked.digest,
                key=call.key,
                why=f"'{call.tool}' asks for approval",
            )
        ],
    )
    return recorder.replay.approvals[key]


def check_approved(recorder: Recorder, call: ToolCall, part: ToolCallPart) -> None:
    """Refuse an approved call that is not the one a person approved.

    Raises:
        ApprovalMismatch: other arguments, another tool or another schema than was shown.
    """
    entry = recorder.replay.approvals.get((call.scope, call.step, call.call, False))
    if entry is None or entry.decided is None or entry.decided.verdict != "approved":
        raise ApprovalMismatch(f"'{call.tool}' ({call.call}) came as approved, but no approval of it is recorded.")
    approved = entry.decided.args or entry.asked.args
    shown = shown_args(part)
    if recorder.seal(shown) != approved or binding(recorder, call, entry.asked.args) != entry.asked.digest:
        raise ApprovalMismatch(
            f"'{call.tool}' ({call.call}) is no longer what was approved: its arguments, schema or requester changed."
        )


def shown_args(call: ToolCallPart) -> bytes:
    """The arguments as the model gave them, in one fixed form: what people are shown and decide on."""
    return canonical(parse(dump_json(call.args_as_dict())))


def _shown(seam: Seam, ctx: RunContext[Any], call: ToolCallPart) -> ToolCall:
    assert ctx.tool_manager is not None
    tool = ctx.tool_manager.get_tool_def(call.tool_name)
    return ToolCall(
        scope=seam.scope,
        step=ctx.run_step,
        call=call.tool_call_id,
        tool=call.tool_name,
        schema="" if tool is None else schema_digest(tool),
        args=shown_args(call),
        declaration=Declaration(Recovery.ONCE),
        key=seam.recorder.key_of(seam.scope, ctx.run_step, call.tool_call_id),
        attempt=Attempt(),
    )


def _verdict(recorder: Recorder, entry: ApprovalEntry) -> ToolApproved | ToolDenied:
    assert entry.decided is not None
    if entry.decided.verdict == "rejected":
        reason = recorder.text(entry.decided.reason) if entry.decided.reason else "A person rejected this call."
        return ToolDenied(message=reason)
    if entry.decided.args is None:
        return ToolApproved()
    return ToolApproved(override_args=parse(recorder.content(entry.decided.args)))
