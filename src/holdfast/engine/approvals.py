"""Calls that wait for people: asked once, decided by others, bound to exactly what was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import ApprovalRequired, ToolFailed
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolApproved, ToolDenied

from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn
from holdfast.domain.verdict import Decision
from holdfast.effects.declare import Declaration
from holdfast.engine.asking import agreed_args, answered, ask, check_bound, refused, rejection_of
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import canonical, dump_json, parse
from holdfast.engine.errors import ApprovalMismatch
from holdfast.engine.external import hand_out
from holdfast.engine.handlers import handled
from holdfast.engine.inspect import schema_digest
from holdfast.engine.interrupt import Park
from holdfast.engine.questioning import answer_of, ask_question, is_answered, may_end_with_requests
from holdfast.engine.replay import ApprovalEntry, QuestionEntry
from holdfast.engine.verdicts import verdict_on

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.seam import Seam


async def decide_batch(
    seam: Seam, ctx: RunContext[Any], requests: DeferredToolRequests, *, handlers: bool
) -> DeferredToolResults | None:
    """What the agent's own handlers, where it has any, and people decided about a batch of calls.

    Returns: a result for each call, except those that the agent's output may be instead; None when there is none.

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
    open_ = _Open()
    if not may_end_with_requests(ctx):
        left = [call for call in requests.calls if call.tool_call_id not in results.calls]
        open_ = await _asked_outside(seam, ctx, requests, left)
    waiting = open_.to_agree + sum(not answered(entry) for entry in entries.values())
    unanswered = sum(not is_answered(entry) for entry in open_.questions.values())
    if waiting or unanswered:
        raise _park(waiting, unanswered, len(entries) + len(open_.questions) + open_.to_agree)
    for call, entry in entries.items():
        results.approvals[call] = _verdict(recorder, shown[call], entry)
    results.calls.update(open_.refused)
    results.calls.update({call: answer_of(recorder, entry) for call, entry in open_.questions.items()})
    return results if results.approvals or results.calls else None


def _park(waiting: int, unanswered: int, all_: int) -> Park:
    open_ = [f"{waiting} to decide"] if waiting else []
    open_ += [f"{unanswered} to answer"] if unanswered else []
    open_ += [f"{done} decided"] if (done := all_ - waiting - unanswered) else []
    return Park(WaitingOn.APPROVAL if waiting else WaitingOn.QUESTION, ", ".join(open_))


@dataclass
class _Open:
    """What becomes of calls that wait for a result from outside, by call id."""

    questions: dict[str, QuestionEntry] = field(default_factory=dict[str, QuestionEntry])
    refused: dict[str, ToolFailed] = field(default_factory=dict[str, ToolFailed])
    to_agree: int = 0
    """Calls that people have to agree to before anybody is asked for their result."""


async def _asked_outside(
    seam: Seam, ctx: RunContext[Any], requests: DeferredToolRequests, calls: Sequence[ToolCallPart]
) -> _Open:
    """Put calls before those who are to answer them. What the model is told of one that may not be is final."""
    found, recorder = _Open(), seam.recorder
    for call in calls:
        id_, seen = call.tool_call_id, _shown(seam, ctx, call)
        kind, metadata = "question" if requests.kind(id_) == "question" else "external", requests.metadata.get(id_)
        if (seen.step, id_) in seam.deferred:  # it was begun here, and decided on as it was entered
            entry = await ask_question(recorder, seen, kind, metadata)
        else:
            entry = await hand_out(recorder, seen, kind, metadata)
        if entry is None:
            found.to_agree += 1
        elif isinstance(entry, ToolFailed):
            found.refused[id_] = entry
        else:
            found.questions[id_] = entry
    return found


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
    if (why := rejection_of(recorder, entry)) is not None:
        return ToolDenied(message=why)
    agreed = agreed_args(entry)
    if agreed == recorder.seal(call.args):
        return ToolApproved()
    return ToolApproved(override_args=parse(recorder.content(agreed)))
