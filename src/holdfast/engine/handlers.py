"""The agent's own handlers of deferred calls: asked once, their decisions recorded like those of people.

The framework asks one capability after another, each about what the ones before it left undecided, and *Outer* comes
first. It lets the others answer, by asking the whole chain again and staying out of it; records what they decided,
which may be nothing; and only then are people asked for the rest. On replay the record answers, and no handler runs:
one that writes to somebody, or pays, would do it again.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import timedelta
from types import UnionType
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import JsonValue
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.durable_exec import JSON_CODEC
from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.external_events import ExternalEventWaiter, external_event_scope
from pydantic_ai.messages import RetryPromptPart, ToolReturn  # pyright: ignore[reportDeprecated]
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolApproved, ToolDenied

from holdfast.domain import events as ev
from holdfast.domain.approving import Edit, edited_digest
from holdfast.domain.errors import TooLarge, UserError
from holdfast.engine.codec import Unserialisable, canonical, dump_json, dump_result, load_result, parse
from holdfast.engine.errors import ResultNotStored
from holdfast.engine.inspect import digest_of
from holdfast.engine.question import question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder

BY_HANDLER = "the agent's own handler"
"""Who decided, where the handler does not say."""

staying_out: ContextVar[bool] = ContextVar("holdfast_staying_out", default=False)
"""Whether *Outer* is asking the others, and has nothing to say itself."""

_OF_ITS_OWN_TYPE = (ToolReturn, ToolFailed, ModelRetry, RetryPromptPart)  # pyright: ignore[reportDeprecated]


def has_handlers(ctx: RunContext[Any], ours: UnionType) -> bool:
    """Whether a capability of the agent's may decide about deferred calls."""
    if ctx.root_capability is None:
        return False
    leaves = list[AbstractCapability[Any]]()
    ctx.root_capability.apply(leaves.append)
    own = AbstractCapability.handle_deferred_tool_calls
    return any(type(leaf).handle_deferred_tool_calls is not own and not isinstance(leaf, ours) for leaf in leaves)


async def handled(
    recorder: Recorder, scope: str, ctx: RunContext[Any], requests: DeferredToolRequests, shown: dict[str, ToolCall]
) -> DeferredToolResults:
    """What the agent's handlers answer to calls, now or when it was recorded.

    What they decide about approvals is recorded as a person's decision is, and found there. `shown` are the calls that
    ask for approval, by id.
    """
    ids = sorted(call.tool_call_id for call in (*requests.approvals, *requests.calls))
    key = f"deferred#{ctx.run_step}#{digest_of(ids)}"
    if (note := recorder.replay.notes.get((scope, key))) is not None:
        return _loaded(recorder.content(note.value))
    results = await _asked(ctx, requests)
    try:
        value = _dumped(results)
        facts = [
            fact
            for call, verdict in _verdicts(results)
            if (scope, ctx.run_step, call, False) not in recorder.replay.approvals  # else a person was asked before
            for fact in _decision(recorder, shown[call], verdict, results)
        ]
        note = ev.Noted(scope=scope, key=key, value=recorder.seal(value))
    except (Unserialisable, TooLarge) as error:
        raise ResultNotStored(f"What a handler of deferred calls answered cannot be stored: {error}") from error
    last = await recorder.record(note, *facts)
    for offset, fact in enumerate(facts):
        recorder.replay.add(last - len(facts) + 1 + offset, fact)
    return DeferredToolResults(calls=results.calls, metadata=results.metadata, answered_by=results.answered_by)


async def _asked(ctx: RunContext[Any], requests: DeferredToolRequests) -> DeferredToolResults:
    assert ctx.root_capability is not None
    token = staying_out.set(True)
    try:
        with external_event_scope(_NoWaiting()):
            found = await ctx.root_capability.handle_deferred_tool_calls(ctx, requests=requests)
    finally:
        staying_out.reset(token)
    found = found or DeferredToolResults()
    # As the framework does: what a handler says of calls that nobody asked it about is not heard.
    approvals = {call.tool_call_id for call in requests.approvals}
    calls = {call.tool_call_id for call in requests.calls}
    return DeferredToolResults(
        approvals={call: verdict for call, verdict in found.approvals.items() if call in approvals},
        calls={call: answer for call, answer in found.calls.items() if call in calls},
        metadata=found.metadata,
        answered_by=found.answered_by,
    )


class _NoWaiting(ExternalEventWaiter):
    """A handler that waits in this process, for hours perhaps, would wait anew wherever the run goes on."""

    async def wait(
        self,
        name: str,
        *,
        ask: Callable[[str], Awaitable[JsonValue]],  # noqa: ARG002 - the framework's signature
        timeout: timedelta | None,  # noqa: ARG002, ASYNC109 - the framework's signature
    ) -> JsonValue:
        """Refuse."""
        raise UserError(
            f"A handler of deferred calls waits for the external event '{name}'. Such a wait would live in this "
            "process only. Leave the call undecided instead (remove `RequestInput`): Holdfast asks people by itself, "
            "and the run waits as rows."
        )


def _verdicts(results: DeferredToolResults) -> list[tuple[str, ToolApproved | ToolDenied]]:
    plain = {True: ToolApproved(), False: ToolDenied()}
    return [
        (call, plain[verdict] if isinstance(verdict, bool) else verdict) for call, verdict in results.approvals.items()
    ]


def _decision(
    recorder: Recorder, call: ToolCall, verdict: ToolApproved | ToolDenied, results: DeferredToolResults
) -> list[ev.AnyEvent]:
    asked = question(recorder, call)
    changed = reason = None
    if isinstance(verdict, ToolDenied):
        reason = dump_json(verdict.message)
    elif verdict.override_args is not None:
        changed = canonical(parse(dump_json(verdict.override_args)))
    for plain in (reason, changed):
        if plain is not None:
            recorder.know(recorder.seal(plain), plain)
    by = results.answered_by.get(call.call, BY_HANDLER)
    edits = [] if changed is None else [Edit(recorder.seal(changed), by)]
    decided = ev.ApprovalDecided(
        approval=asked.approval,
        call=call.call,
        verdict="rejected" if isinstance(verdict, ToolDenied) else "approved",
        by=by,
        args=None if changed is None else recorder.seal(changed),
        edits=[ev.Edited(args=edit.args, by=edit.by) for edit in edits],
        digest=edited_digest(asked.digest, edits),
        reason=None if reason is None else recorder.seal(reason),
    )
    return [asked, decided]


def _dumped(results: DeferredToolResults) -> bytes:
    """All but the approvals. Plain values are kept in the form of their own type, as tools' results are."""
    calls: dict[str, Any] = results.calls
    typed: dict[str, Any] = {}
    plain: dict[str, str] = {}
    for call, answer in calls.items():
        if isinstance(answer, _OF_ITS_OWN_TYPE):
            typed[call] = answer
        else:
            plain[call] = dump_result(answer).decode()
    rest = DeferredToolResults(calls=typed, metadata=results.metadata, answered_by=results.answered_by)
    return orjson.dumps({"typed": dump_result(rest).decode(), "plain": plain})


def _loaded(stored: bytes) -> DeferredToolResults:
    raw = parse(stored)
    results = JSON_CODEC.load(DeferredToolResults, parse(raw["typed"].encode())["value"])
    results.calls.update({call: load_result(plain.encode()) for call, plain in raw["plain"].items()})
    return results
