"""Calls that are never made here: what does them is outside, and is told of them by the question that waits for it.

To put such a call before whoever does it is its dispatch, so policy, loops, limits and halts have their say at that
moment, as they have before a tool's body is entered. It is announced and put there in one commit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_ai.exceptions import ToolFailed

from holdfast.domain import events as ev
from holdfast.domain.errors import BoundWanted, TalliesMoved
from holdfast.engine.asking import agreed_args, answered, ask, check_bound, refused, rejection_of
from holdfast.engine.codec import parse
from holdfast.engine.errors import CallRefused
from holdfast.engine.permitting import permit
from holdfast.engine.questioning import ask_question
from holdfast.engine.verdicts import PolicyAsks, refusal_of

if TYPE_CHECKING:
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.replay import QuestionEntry

Permitted: TypeAlias = "ToolCall | ToolFailed | None"
"""The call as it may be put before whoever does it; what the model is told instead; None while people decide."""


async def hand_out(
    recorder: Recorder, call: ToolCall, kind: ev.QuestionKind, metadata: Any = None
) -> QuestionEntry | ToolFailed | None:
    """Put a call before whoever does it, with the arguments that people agreed to where they were asked.

    Returns: its question; what the model is told instead; None while people decide whether it may go outside.

    Raises:
        Park: people have to agree once more, or a halt covers it.
        Limited: it would exceed a limit of the run's.
        Looped: it goes on with a loop that the model was told of.
        Fail: nobody agreed in time, and the task says that the run fails then.
        ApprovalMismatch: what was agreed to is not this call.
        Diverged: the tool is not the one that was handed out.
    """
    while True:
        may = await _permitted(recorder, call)
        if may is None or isinstance(may, ToolFailed):
            return may
        try:
            return await ask_question(recorder, may, kind, metadata, handed_out=True)
        except (TalliesMoved, BoundWanted):
            # Another call was counted between the look and the commit, or a request beside it has to say its bound
            # first: decide anew.
            continue


async def _permitted(recorder: Recorder, call: ToolCall) -> Permitted:
    """Whether a call may go outside."""
    agreed = _agreed(recorder, call)
    if agreed is None or isinstance(agreed, ToolFailed):
        return agreed
    place = (call.scope, call.step, call.call)
    if (*place, agreed.approved) in recorder.replay.questions:
        return agreed  # it went outside before: what policy says now comes too late
    if (denied := recorder.replay.denied.get((*place, False))) is not None:
        return ToolFailed(refusal_of(recorder.text(denied.why)))
    return await _decided(recorder, agreed)


def _agreed(recorder: Recorder, call: ToolCall) -> Permitted:
    """The call as people agreed to it; as it is where nobody was asked."""
    entry = recorder.replay.approvals.get((call.scope, call.step, call.call, False))
    if entry is None:
        return call
    if not answered(entry):
        return None
    if (why := rejection_of(recorder, entry)) is not None:
        return ToolFailed(why)
    check_bound(recorder, call, entry)
    return replace(call, args=recorder.content(agreed_args(entry)), approved=True)


async def _decided(recorder: Recorder, call: ToolCall) -> Permitted:
    """What policy says of it, as it stands."""
    if not call.approved and (why := await refused(recorder, call)) is not None:
        return ToolFailed(why)
    try:
        await permit(recorder, call, call.args, parse(call.args))
    except PolicyAsks as asks:
        await ask(recorder, call, asks)
        return None
    except CallRefused as told:
        return ToolFailed(told.message)
    return call
