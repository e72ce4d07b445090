"""Calls whose result comes from outside: a tool that asks the person, or work that another system does.

Put before people once, in the inbox where approvals are, and answered there. The answer is the call's result. A call
that people had approved may ask too, so a question is found by the execution that asks it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.tools import DeferredToolRequests

from holdfast.domain import events as ev
from holdfast.engine.codec import dump_json, parse
from holdfast.engine.errors import ApprovalMismatch
from holdfast.engine.inspect import declaration_for
from holdfast.engine.interrupt import Diverged, Fail
from holdfast.engine.question import binding, sources
from holdfast.engine.tallying import to_add, written_by
from holdfast.engine.verdicts import NO_VERDICT, sealed_facts
from holdfast.store.journal import ApprovalRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_ai.tools import RunContext

    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.replay import QuestionEntry
    from holdfast.store.journal import Row

_DECLINED = "The person who was asked gives no answer."
_WHOM: dict[ev.QuestionKind, str] = {"question": "user", "external": ""}
"""Who answers. What is done outside is reported by whatever does it, services included."""
_WHY: dict[ev.QuestionKind, str] = {
    "question": "'{tool}' asks for an answer",
    "external": "'{tool}' is done outside: it waits for its result",
}


def may_end_with_requests(ctx: RunContext[Any]) -> bool:
    """Whether the agent's output may be the calls that nobody answered: then who started the run answers them."""
    return ctx.agent is not None and _allows_requests(ctx.agent.output_type)


def _allows_requests(output: Any) -> bool:
    several = cast("Sequence[Any]", output) if isinstance(output, list | tuple) else get_args(output)
    return output is DeferredToolRequests or any(map(_allows_requests, several))


async def ask_question(
    recorder: Recorder, call: ToolCall, kind: ev.QuestionKind, metadata: Any = None, *, handed_out: bool = False
) -> QuestionEntry:
    """Put a call before people who are to answer it, unless it was before. Committed when this returns.

    Args:
        recorder: of the run.
        call: with the arguments that people are shown.
        kind: who is to answer.
        metadata: what the tool says of it.
        handed_out: it was not begun here: this is its dispatch.

    Raises:
        Diverged: the tool is not the one that asked.
        BoundWanted, TalliesMoved, Interrupt: where it is handed out, as of any call that is announced.
    """
    key = (call.scope, call.step, call.call, call.approved)
    known = recorder.replay.questions.get(key)
    if known is not None:
        recorded, found = (known.asked.tool, known.asked.schema), (call.tool, call.schema)
        if recorded != found:
            # The answer is kept: code that asks this still can go on with it.
            place = f"what '{known.asked.tool}' ({call.call}) asked at step {call.step}"
            raise Diverged(
                place, dict(zip(_TOOL, recorded, strict=True)), dict(zip(_TOOL, found, strict=True))
            )  # fmt: skip
        return known
    asked = _asked(recorder, call, kind, metadata)
    rows: list[Row] = [_row(recorder, call, asked)]
    if handed_out:
        asked = _handed_out(recorder, call, asked)
        rows += to_add(call)
    await recorder.ask(asked, rows)
    return recorder.replay.questions[key]


_TOOL = ("tool", "schema")


def is_answered(entry: QuestionEntry) -> bool:
    """Whether there is an answer, or nobody gives one.

    Raises:
        Fail: nobody answered in time, and the task says that the run fails then.
    """
    if entry.answered is not None and entry.answered.on_expiry == "fail_run":
        raise Fail(f"Nobody answered in time what '{entry.asked.tool}' asked.", "QuestionExpired")
    return entry.answered is not None


def answer_of(recorder: Recorder, entry: QuestionEntry) -> Any:
    """The call's result: a plain value, or a `ToolFailed` that tells the model why there is none.

    Raises:
        ApprovalMismatch: it answers something else than was asked.
    """
    told = entry.answered
    assert told is not None
    if told.digest != entry.asked.digest:
        raise ApprovalMismatch(f"What was answered is not what '{entry.asked.tool}' ({entry.asked.call}) asked.")
    if told.answer is not None:
        return parse(recorder.content(told.answer))
    return ToolFailed(recorder.text(told.reason) if told.reason else _DECLINED)


def _asked(recorder: Recorder, call: ToolCall, kind: ev.QuestionKind, metadata: Any) -> ev.QuestionAsked:
    args = recorder.seal(call.args)
    recorder.know(args, call.args)  # whoever answers may be quicker than this execution ends
    asked = ev.QuestionAsked(
        approval=recorder.gear.new_id(),
        scope=call.scope,
        step=call.step,
        call=call.call,
        approved=call.approved,
        tool=call.tool,
        schema=call.schema,
        kind=kind,
        args=args,
        digest="",
        metadata=recorder.seal(dump_json(metadata)) if metadata else None,
        ask=_WHOM[kind],
        sources=recorder.seal(sources(recorder, call)),
    )
    shown = [asked.args, asked.metadata or "", asked.ask, kind, *filter(None, [asked.sources])]
    return replace(asked, digest=binding(recorder, call, *shown))


def _handed_out(recorder: Recorder, call: ToolCall, asked: ev.QuestionAsked) -> ev.CallHandedOut:
    system, amounts = written_by(recorder, call, parse(call.args))
    verdict = call.attempt.verdict or NO_VERDICT
    return ev.CallHandedOut(
        **vars(asked),
        recovery=declaration_for(recorder.task, call.tool, None).recovery,
        policy=verdict.policy,
        seen=dict(verdict.seen),
        facts=sealed_facts(recorder, verdict),
        system=system,
        amounts=amounts,
    )


def _row(recorder: Recorder, call: ToolCall, asked: ev.QuestionAsked) -> ApprovalRow:
    approving = recorder.task.approving
    return ApprovalRow(
        id=asked.approval,
        kind="question",
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        args=asked.args,
        digest=asked.digest,
        key=call.key,
        why=_WHY[asked.kind].format(tool=call.tool),
        ask=asked.ask,
        expires_s=approving.expires_s,
        on_expiry=approving.on_expiry,
        escalate=[(later.after_s, str(later.ask)) for later in approving.escalate],
    )
