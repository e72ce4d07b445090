"""Calls that wait for a person: asked once, decided by others, bound to exactly what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import ApprovalRequired, UserError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolApproved, ToolDenied

from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn
from holdfast.domain.verdict import Decision
from holdfast.effects.declare import Declaration
from holdfast.engine.asking import agreed_args, answered, ask, check_bound
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import canonical, dump_json, parse
from holdfast.engine.errors import ApprovalMismatch
from holdfast.engine.handlers import handled
from holdfast.engine.inspect import schema_digest
from holdfast.engine.interrupt import Park
from holdfast.engine.looping import loop_told
from holdfast.engine.replay import ApprovalEntry
from holdfast.engine.verdicts import denied, refusal_of, verdict_on

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
    for call, seen in list(shown.items()):
        if (why := await refused(recorder, seen)) is not None:
            results.approvals[call] = ToolDenied(message=why)
            del shown[call]
    if handlers:
        handed = await handled(recorder, seam.scope, ctx, await _open_to_handlers(recorder, requests, shown), shown)
        results.calls, results.metadata = handed.calls, handed.metadata
    entries = {
        call: await ask(recorder, seen, ApprovalRequired(requests.metadata.get(call))) for call, seen in shown.items()
    }
    waiting = sum(not answered(entry) for entry in entries.values())
    if waiting:
        decided = len(entries) - waiting
        raise Park(WaitingOn.APPROVAL, f"{waiting} to decide" + (f", {decided} decided" if decided else ""))
    for call, entry in entries.items():
        results.approvals[call] = _verdict(recorder, shown[call], entry)
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


async def refused(recorder: Recorder, call: ToolCall) -> str | None:
    """Why nobody is asked about a call that its declaration would have people asked about: policy, or a loop.

    Returns: what the model is told; None where people are asked.

    Raises:
        Looped: the model was told of the loop before.
    """
    key = (call.scope, call.step, call.call, False)
    if key in recorder.replay.approvals:
        return None  # what came of it as it was dispatched is an outcome
    if (recorded := recorder.replay.denied.get(key)) is not None:
        return refusal_of(recorder.text(recorded.why))
    if (told := await loop_told(recorder, call)) is not None:
        return told
    verdict = await verdict_on(recorder, call, call.args)
    if verdict is None or verdict.decision is not Decision.DENY:
        return None
    fact = denied(recorder, call, verdict, call.args)
    await recorder.record(fact)
    recorder.replay.add(recorder.journal.seq, fact)
    return refusal_of(verdict.reason)


async def _open_to_handlers(
    recorder: Recorder, requests: DeferredToolRequests, shown: Mapping[str, ToolCall]
) -> DeferredToolRequests:
    """What the agent's own handlers may answer: not what policy asks people, nor what it denies."""

    async def is_open(call: ToolCallPart) -> bool:
        seen = shown.get(call.tool_call_id)
        if seen is None:
            return False
        entry = recorder.replay.approvals.get((seen.scope, seen.step, seen.call, False))
        if entry is not None:
            return not entry.asked.ask
        verdict = await verdict_on(recorder, seen, seen.args)
        return verdict is None or verdict.decision is Decision.ALLOW

    return replace(requests, approvals=[call for call in requests.approvals if await is_open(call)])


def check_approved(recorder: Recorder, call: ToolCall, part: ToolCallPart) -> None:
    """Refuse an approved call that is not the one a person approved.

    Raises:
        ApprovalMismatch: other arguments, another tool or another schema than was shown.
    """
    entry = recorder.replay.approvals.get((call.scope, call.step, call.call, False))
    if entry is None or entry.decided is None or entry.decided.verdict != "approved":
        raise ApprovalMismatch(f"'{call.tool}' ({call.call}) came as approved, but no approval of it is recorded.")
    if recorder.seal(shown_args(part)) != agreed_args(entry):
        raise ApprovalMismatch(f"The arguments of '{call.tool}' ({call.call}) are not those that were approved.")
    check_bound(recorder, call, entry)


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


def _verdict(recorder: Recorder, call: ToolCall, entry: ApprovalEntry) -> ToolApproved | ToolDenied:
    assert entry.decided is not None
    if entry.decided.verdict == "rejected":
        reason = recorder.text(entry.decided.reason) if entry.decided.reason else "A person rejected this call."
        return ToolDenied(message=reason)
    agreed = agreed_args(entry)
    if agreed == recorder.seal(call.args):
        return ToolApproved()
    return ToolApproved(override_args=parse(recorder.content(agreed)))
