"""Calls that are put before people: asked once, and again where what they agreed to has become something else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from pydantic_ai.exceptions import ApprovalRequired

from holdfast.domain import events as ev
from holdfast.domain.approving import Edit, edited_digest
from holdfast.domain.ids import Ref
from holdfast.domain.state import WaitingOn
from holdfast.domain.verdict import Decision
from holdfast.engine.errors import ApprovalMismatch
from holdfast.engine.interrupt import Fail, Park
from holdfast.engine.looping import loop_told
from holdfast.engine.question import bound, question
from holdfast.engine.verdicts import PolicyAsks, denied, refusal_of, verdict_on
from holdfast.store.journal import ApprovalRow

if TYPE_CHECKING:
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.replay import ApprovalEntry

_MOST_ROUNDS = 5


def agreed_args(entry: ApprovalEntry) -> Ref:
    """The arguments, in the form people see, that were put before them last, as they edited them."""
    return entry.decided.args if entry.decided is not None and entry.decided.args is not None else entry.asked.args


def answered(entry: ApprovalEntry) -> bool:
    """Whether a question is decided.

    Raises:
        Fail: nobody answered in time, and its task says that the run fails then.
    """
    if entry.decided is not None and entry.decided.on_expiry == "fail_run":
        raise Fail(f"Nobody answered in time whether '{entry.asked.tool}' may be called.", "ApprovalExpired")
    return entry.decided is not None


def rejection_of(recorder: Recorder, entry: ApprovalEntry) -> str | None:
    """What the model is told of a call that people rejected; None where they agreed. It is decided."""
    assert entry.decided is not None
    if entry.decided.verdict != "rejected":
        return None
    return recorder.text(entry.decided.reason) if entry.decided.reason else "A person rejected this call."


def check_bound(recorder: Recorder, call: ToolCall, entry: ApprovalEntry) -> None:
    """Refuse an approval that is not of what was asked, or not of what the edits made of it.

    Raises:
        ApprovalMismatch: the tool, its schema or the requester changed, or the edits do not lead to what was agreed to.
    """
    assert entry.decided is not None
    edits = [Edit(Ref(edit.args), edit.by) for edit in entry.decided.edits]
    if (
        bound(recorder, call, entry.asked) != entry.asked.digest
        or edited_digest(entry.asked.digest, edits) != entry.decided.digest
    ):
        raise ApprovalMismatch(
            f"'{call.tool}' ({call.call}) is no longer what was approved: its arguments, schema or requester changed."
        )


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


async def ask(recorder: Recorder, call: ToolCall, required: ApprovalRequired) -> ApprovalEntry:
    """Put a call before people, unless it was before. Committed when this returns.

    `required` is what the tool, its declaration or policy said. Where it is not policy, policy may add who is to agree.
    """
    key = (call.scope, call.step, call.call, False)
    known = recorder.replay.approvals.get(key)
    if known is not None:
        return known
    if isinstance(required, PolicyAsks):
        return await _put(
            recorder, call, question(recorder, call, verdict=required.verdict, received=required.received)
        )
    verdict = await verdict_on(recorder, call, call.args)
    asks = verdict if verdict is not None and verdict.decision is Decision.ASK else None
    return await _put(recorder, call, question(recorder, call, required.metadata, verdict=asks))


async def ask_again(recorder: Recorder, call: ToolCall, required: PolicyAsks) -> NoReturn:
    """Put a call before people once more: policy, or what the tool would receive, changed after they had agreed.

    Raises:
        Park: until they have decided.
        ApprovalMismatch: it never stays what they agree to.
    """
    known = recorder.replay.approvals[call.scope, call.step, call.call, False]
    if known.asked.round >= _MOST_ROUNDS:
        raise ApprovalMismatch(
            f"'{call.tool}' ({call.call}) was put before people {known.asked.round} times, and each time it had become "
            "another call by the moment they had agreed. Look at what changes its arguments, such as a hook that reads "
            "the clock."
        )
    shown = replace(call, args=recorder.content(agreed_args(known)))
    asked = question(
        recorder, shown, verdict=required.verdict, received=required.received, round_=known.asked.round + 1
    )
    await _put(recorder, call, asked)
    raise Park(WaitingOn.APPROVAL, f"'{call.tool}' is to be agreed to once more: {required.verdict.reason}")


async def _put(recorder: Recorder, call: ToolCall, asked: ev.ApprovalAsked) -> ApprovalEntry:
    approving = recorder.task.approving
    # Known before it is committed: the reply may be lost, and the decision be there before the writer has found out.
    recorder.replay.add(recorder.journal.seq, asked)
    await recorder.record(
        asked,
        rows=[
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
                why=f"'{call.tool}' asks for approval" if not asked.policy else f"policy has '{call.tool}' agreed to",
                ask=asked.ask,
                round=asked.round,
                received=asked.received,
                expires_s=approving.expires_s,
                on_expiry=approving.on_expiry,
                escalate=[(later.after_s, str(later.ask)) for later in approving.escalate],
            )
        ],
    )
    return recorder.replay.approvals[call.scope, call.step, call.call, False]
