"""The pipeline of one tool call: replay ▸ recover ▸ perform (the intent is committed inside) ▸ record.

`ToolCall` says which call; `perform` runs whatever lies inside: the user's hooks and the tool itself. The same
pipeline serves the run's own agent and its sub-agents.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_ai.exceptions import (
    ApprovalRequired,
    CallDeferred,
    ModelRetry,
    SkipToolExecution,
    ToolFailed,
    ToolFailedError,
    ToolRetryError,
)
from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RunUsage

from holdfast.domain import events as ev
from holdfast.domain.errors import TooLarge
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.engine.affording import announce_call
from holdfast.engine.call import ToolCall
from holdfast.engine.codec import (
    Unserialisable,
    dump_json,
    dump_result,
    load_result,
    only_given,
    parse,
    same_structure,
)
from holdfast.engine.deferral import deferred_again, dump_deferral
from holdfast.engine.emitted import emit_again, emitted
from holdfast.engine.enqueued import enqueue_again, enqueued_since, waiting
from holdfast.engine.errors import RecordedToolError, ResultNotStored, ToolTimedOut
from holdfast.engine.flight import StepInFlight, family
from holdfast.engine.interrupt import Away, Diverged, Halted, Interrupt, interrupt_in
from holdfast.engine.late import Known
from holdfast.engine.recorder import Recorder
from holdfast.engine.recovery import Settled, in_doubt, recovered
from holdfast.engine.replay import ToolEntry
from holdfast.engine.tallying import to_add, to_release, written_by
from holdfast.engine.toolcost import cost_as_told, measure
from holdfast.engine.usage import usage_now, use_again, used_since
from holdfast.engine.verdicts import NO_VERDICT, sealed_facts

Perform = Callable[[], Awaitable[Any]]


class Nested(Protocol):
    """The runs that happen inside a call, and the usage they share with it."""

    context: RunContext[Any]
    """Of the call."""

    @property
    def usage(self) -> RunUsage:
        """What the run of the call has used."""
        ...

    @property
    def used(self) -> ev.Usage | None:
        """What they used."""
        ...


async def tool_step(recorder: Recorder, call: ToolCall, perform: Perform, *, nested: Nested) -> Any:
    """Carry out one tool call, or give what the journal says came of it.

    Returns: the tool's result. A replayed result is raised as `SkipToolExecution`, which counts as a call.

    Raises:
        ModelRetry, ToolFailed, ApprovalRequired, CallDeferred: as the tool did, now or when it was recorded.
        Interrupt: the run may not go on here.
    """
    group = (call.scope, call.step)
    recorder.flight.arrive(group)
    try:
        entry = recorder.replay.tools.pop((*group, call.call, call.approved), None)
        if entry is not None and entry.finished is not None:
            _same_call(recorder, call, entry.finished)
            return await _again(recorder, call, nested, entry.finished)
        return await _carried_out(recorder, call, entry or ToolEntry(), perform, nested)
    except Interrupt as interrupt:
        recorder.interrupted_by(interrupt)
        raise


async def _carried_out(recorder: Recorder, call: ToolCall, entry: ToolEntry, perform: Perform, nested: Nested) -> Any:
    call.attempt.number = entry.attempts + 1
    call.attempt.args = entry.started.args if entry.started is not None else None
    call.attempt.cut_off = 0 if entry.resolved is not None else entry.attempts
    flying = StepInFlight(
        what="tool",
        name=call.tool,
        recovery=call.declaration.recovery,
        group=(call.scope, call.step),
        deadline=time.monotonic() + recorder.task.tool_timeout_s,
        inner=call.inner,
        attempt=call.attempt,
    )
    recorder.flight.begin(flying)
    try:
        settled = None if entry.started is None else await recovered(recorder, call, entry)
        if settled is None:
            return await _performed(recorder, call, flying, perform, nested)
        finished = await _settle(recorder, call, flying, settled)
        return await _again(recorder, call, nested, finished)
    except (Interrupt, BaseExceptionGroup) as error:
        if (interrupt := interrupt_in(error)) is None:
            raise
        # The framework would cut off the siblings of a call that raises, as a task group would inner runs; what
        # was merely gathered would go on unseen.
        recorder.closed[call.inner] = interrupt
        await recorder.flight.wait_for_siblings(flying)
        if beside := family(call.scope):
            recorder.closed[beside] = interrupt
        raise interrupt from error.__cause__
    finally:
        recorder.flight.end(flying)


async def announce(recorder: Recorder, call: ToolCall, args: bytes, values: Mapping[str, Any]) -> None:
    """Commit the intent of a call on exactly the arguments that the tool receives, as stored and as they are."""
    system, amounts = written_by(recorder, call, values)
    verdict = call.attempt.verdict or NO_VERDICT
    call.attempt.announced = args
    call.attempt.args = recorder.seal(args)
    await announce_call(
        recorder,
        ev.ToolStarted(
            scope=call.scope,
            step=call.step,
            call=call.call,
            tool=call.tool,
            recovery=call.declaration.recovery,
            key=call.key,
            args=call.attempt.args,
            schema=call.schema,
            attempt=call.attempt.number,
            approved=call.approved,
            policy=verdict.policy,
            seen=dict(verdict.seen),
            facts=sealed_facts(recorder, verdict),
            system=system,
            amounts=amounts,
            bound_usd_micros=call.declaration.cost_usd_micros,
        ),
        to_add(call),
    )


# --- replay ------------------------------------------------------------------------------------------------------


def _same_call(recorder: Recorder, call: ToolCall, finished: ev.ToolFinished) -> None:
    place = f"call of '{call.tool}' ({call.call}) at step {call.step}"
    if (finished.tool, finished.schema) != (call.tool, call.schema):
        raise Diverged(
            place,
            {"tool": finished.tool, "schema": finished.schema},
            {"tool": call.tool, "schema": call.schema},
        )
    if recorder.seal(call.args) != finished.model_args:
        recorded, found = parse(recorder.content(finished.model_args)), parse(call.args)
        given = call.part.args_as_dict() if call.part is not None else None
        if not same_structure(only_given(recorded, given), only_given(found, given)):
            raise Diverged(place, {"arguments": recorded}, {"arguments": found})


async def _again(recorder: Recorder, call: ToolCall, nested: Nested, finished: ev.ToolFinished) -> Any:
    """What follows from an outcome that was recorded, by this worker or another."""
    use_again(nested.usage, finished.usage)
    if finished.usage is not None:
        # Calls beside it, which may share the counters, have not asked for these.
        recorder.inner.of(nested.usage).add(finished.usage.requests)
    if finished.enqueued is not None:
        enqueue_again(nested.context, recorder.content(finished.enqueued))
    if finished.emitted is not None:
        await emit_again(call, nested.context, recorder.content(finished.emitted))
    if finished.outcome == "value" and finished.counted is False:
        return load_result(recorder.content(_ref(finished)), call.returns)
    if finished.counted:
        nested.usage.tool_calls += 1
    return _replayed(recorder, call, finished)


def _replayed(recorder: Recorder, call: ToolCall, finished: ev.ToolFinished) -> Any:
    match finished.outcome:
        case "value":
            assert finished.result is not None
            raise SkipToolExecution(load_result(recorder.content(finished.result), call.returns))
        case "retry":
            raise ModelRetry(recorder.text(_ref(finished)))
        case "failed":
            raise ToolFailed(recorder.text(_ref(finished)))
        case "deferred":
            raise deferred_again(recorder.content(_ref(finished)))
        case "error":
            error = parse(recorder.content(_ref(finished)))
            if (call.scope, call.step, call.call, call.approved) in recorder.replay.overruled:
                raise ToolFailed(f"{error['type']}: {error['message']}")
            raise RecordedToolError(call.tool, error["type"], error["message"])


def _ref(finished: ev.ToolFinished) -> Ref:
    assert finished.result is not None
    return finished.result


# --- perform and record-------------------------------------------------------------------------------------------


async def _performed(
    recorder: Recorder,
    call: ToolCall,
    flying: StepInFlight,
    perform: Perform,
    nested: Nested,
) -> Any:
    before = usage_now(nested.usage)
    call.attempt.enqueued = partial(enqueued_since, recorder, call, nested.context, waiting(nested.context))
    arrivals = recorder.flight.arrivals(flying.group)
    alone = partial(_was_alone, recorder, flying, arrivals)
    call.attempt.cost = measure(recorder, call, nested, alone)
    try:
        result = await _within(recorder, call, flying, perform)
        _all_asked_for(recorder, call)
        used = used_since(nested.usage, before, counted=call.attempt.counted) if alone() else nested.used
        stored, plain = _stored(recorder, call, result)
    except (ModelRetry, ToolRetryError, ValidationError) as retry:
        # The framework takes a validation error, too, for a request to try again.
        await _end(recorder, call, flying, "retry", dump_json(_message(retry)))
        raise
    except (ToolFailed, ToolFailedError) as failed:
        await _end(recorder, call, flying, "failed", dump_json(_message(failed)))
        raise
    except SkipToolExecution as skipped:
        stored, plain = _stored(recorder, call, skipped.result)
        call.attempt.counted = True  # by the framework, as soon as it sees this
        await _end(recorder, call, flying, "value", plain, stored)
        raise
    except (ApprovalRequired, CallDeferred) as deferred:
        await _end(recorder, call, flying, "deferred", dump_deferral(deferred))
        raise
    except (ToolTimedOut, ResultNotStored) as unknown:
        if call.attempt.args is None or call.declaration.recovery is Recovery.PURE:
            await _failed(recorder, call, flying, unknown)
            raise
        await in_doubt(recorder, call, str(unknown), returned=isinstance(unknown, ResultNotStored))
    except Exception as error:
        if recorder.stop is not None and not isinstance(recorder.stop, Away):
            # It was told to stop: what it made of that is not how the call ended.
            raise recorder.stop from error
        await _failed(recorder, call, flying, error)
        raise
    else:
        await _end(recorder, call, flying, "value", plain, stored, usage=used)
        return result


def _was_alone(recorder: Recorder, flying: StepInFlight, arrivals: int) -> bool:
    # A sibling that came meanwhile was counted by the framework, though it be settled again or was replayed.
    return not flying.accompanied and recorder.flight.arrivals(flying.group) == arrivals


def _all_asked_for(recorder: Recorder, call: ToolCall) -> None:
    if call.declaration.recovery is Recovery.DELEGATE and (left := recorder.replay.left_within(call.inner)):
        raise Diverged(f"the end of '{call.tool}' ({call.call})", {"recorded": left}, {"asked for": []})


async def _within(recorder: Recorder, call: ToolCall, flying: StepInFlight, perform: Perform) -> Any:
    if call.declaration.recovery is Recovery.DELEGATE:
        return await perform()
    try:
        return await recorder.flight.in_time(flying, perform())
    except Halted:
        if flying.stopped is not None and call.declaration.recovery is Recovery.ONCE:
            await in_doubt(recorder, call, "a halt cut it off when its grace was over")
        raise
    except TimeoutError:
        if not flying.expired:
            raise
        limit_s = recorder.task.tool_timeout_s
        if call.declaration.recovery.reruns:
            raise ToolFailed(
                f"'{call.tool}' did not finish within {limit_s:g} s; whether it took effect is not known."
            ) from None
        raise ToolTimedOut(f"it did not finish within {limit_s:g} s") from None


def _stored(recorder: Recorder, call: ToolCall, result: Any) -> tuple[Ref, bytes]:
    try:
        plain = dump_result(result)
        return recorder.seal(plain), plain
    except (Unserialisable, TooLarge) as error:
        raise ResultNotStored(
            f"'{call.tool}' returned something that cannot be stored: {error.__cause__ or error}"
        ) from error


async def _failed(recorder: Recorder, call: ToolCall, flying: StepInFlight, error: Exception) -> None:
    """The run will fail with this error, once the calls beside it are settled."""
    plain = dump_json({"type": type(error).__qualname__, "message": str(error)})
    await _end(recorder, call, flying, "error", plain)
    await recorder.flight.wait_for_siblings(flying)


async def _end(
    recorder: Recorder,
    call: ToolCall,
    flying: StepInFlight,
    outcome: ev.Outcome,
    plain: bytes,
    stored: Ref | None = None,
    *,
    usage: ev.Usage | None = None,
) -> None:
    """A call that was performed here has ended."""
    if call.part is None:
        counted = None
    elif outcome == "value":
        counted = None if call.attempt.counted else False
    else:
        counted = True if call.attempt.counted else None
    known = Known(
        key=call.key,
        call=call.call,
        attempt=call.attempt.number,
        approved=call.approved,
        plain=plain,
        result=stored or recorder.seal(plain),
        outcome=outcome,
        usage=usage,
        counted=counted,
        enqueued=call.attempt.enqueued(),
        emitted=emitted(recorder, call) if call.attempt.emitted else None,
        cost=call.attempt.cost(),
    )
    if call.declaration.recovery is not Recovery.DELEGATE:
        # A delegate body may be entered again at any time, and only then is it known what its inner runs used.
        recorder.know_outcome(known)
    await _record(recorder, call, flying, known)


async def _settle(recorder: Recorder, call: ToolCall, flying: StepInFlight, settled: Settled) -> ev.ToolFinished:
    """A call that was begun earlier has ended, as somebody said."""
    finished = await _record(recorder, call, flying, settled, by=settled.by)
    if finished.outcome == "error":
        await recorder.flight.wait_for_siblings(flying)
    return finished


async def _record(
    recorder: Recorder, call: ToolCall, flying: StepInFlight, how: Known | Settled, *, by: str | None = None
) -> ev.ToolFinished:
    fact = ev.ToolFinished(
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        outcome=how.outcome,
        result=how.result,
        model_args=_model_args(recorder, call),
        schema=call.schema,
        approved=call.approved,
        usage=how.usage,
        latency_ms=flying.latency_ms,
        resolved_by=by,
        counted=how.counted,
        enqueued=how.enqueued,
        emitted=how.emitted,
        cost=how.cost if by is None or how.cost is not None else cost_as_told(call),
    )
    recorder.gear.probe("outcome.before")
    rows = to_release(call, how.outcome)
    # The last outcome of a turn rides with the next request's intent; one with a sibling under way does not wait.
    if recorder.flight.siblings(flying):
        await recorder.record(fact, rows=rows)
    else:
        recorder.hold(fact, rows=rows)
    recorder.gear.probe("outcome.after")
    return fact


def _model_args(recorder: Recorder, call: ToolCall) -> Ref:
    # Hooks change arguments now and then: most often the intent has named these already.
    if call.attempt.args is not None and call.args == call.attempt.announced:
        return call.attempt.args
    return recorder.seal(call.args)


def _message(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.json(include_url=False, include_context=False, include_input=False)
    cause = error.__cause__
    return getattr(cause, "message", None) or getattr(error, "message", None) or str(cause or error)
