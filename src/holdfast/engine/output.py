"""One processing of the model's answer: output functions run once, rejections are remembered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import ModelRetry, ToolRetryError
from pydantic_ai.output import OutputContext
from pydantic_ai.tools import RunContext

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.effects.declare import Declaration, Effect, enter
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import dump_json, dump_result, load_result
from holdfast.engine.flight import StepInFlight
from holdfast.engine.inspect import declaration_for, output_functions_of
from holdfast.engine.interrupt import Interrupt
from holdfast.engine.late import Known
from holdfast.engine.recovery import Settled, recovered
from holdfast.engine.replay import OutputEntry, ToolEntry

if TYPE_CHECKING:
    from holdfast.engine.seam import Seam

Handler = Callable[[Any], Awaitable[Any]]


async def output_step(seam: Seam, ctx: RunContext[Any], context: OutputContext, output: Any, handler: Handler) -> Any:
    """Process an answer, or give what the journal says came of it.

    Raises:
        ModelRetry: the answer was rejected, now or when it was recorded.
        Interrupt: the run may not go on here.
    """
    try:
        return await _output_step(seam, ctx, context, output, handler)
    except Interrupt as interrupt:
        seam.recorder.interrupted_by(interrupt)
        raise


async def _output_step(seam: Seam, ctx: RunContext[Any], context: OutputContext, output: Any, handler: Handler) -> Any:
    recorder = seam.recorder
    call = context.tool_call.tool_call_id if context.tool_call is not None else "answer"
    entry = recorder.replay.outputs.pop((seam.scope, ctx.run_step, call, False), None) or OutputEntry()
    if entry.processed is not None:
        return _replayed(seam, entry.processed)
    name = context.function_name or "output"
    declaration = declaration_for(recorder.task, name, output_functions_of(recorder.task.agent).get(name))
    flying = StepInFlight(
        what="tool",
        name=name,
        recovery=declaration.recovery if context.has_function else Recovery.PURE,
        group=(seam.scope, ctx.run_step),
        deadline=time.monotonic() + recorder.task.tool_timeout_s,
    )
    with recorder.flight.carrying(flying):
        try:
            if not context.has_function:
                return await _validated(seam, ctx, call, output, handler)
            if (settled := await _begin(seam, ctx, call, name, declaration, output, entry)) is not None:
                recorder.hold(_processed(seam, ctx, call, "value", settled.result))
                return load_result(recorder.content(settled.result))
            result = await _validated(seam, ctx, call, output, handler)
            stored = recorder.seal(plain := dump_result(result))
            recorder.know_outcome(
                Known(
                    key=recorder.key_of(seam.scope, ctx.run_step, f"{call}/output"),
                    call=f"{call}/output",
                    attempt=entry.attempts + 1,
                    plain=plain,
                    result=stored,
                )
            )
            recorder.hold(_processed(seam, ctx, call, "value", stored))
        except (ModelRetry, ToolRetryError):
            raise
        except (Interrupt, Exception):
            # The framework would cut off the tools beside it.
            await recorder.flight.wait_for_siblings(flying)
            raise
        return result


async def _validated(seam: Seam, ctx: RunContext[Any], call: str, output: Any, handler: Handler) -> Any:
    recorder = seam.recorder
    try:
        return await handler(output)
    except (ModelRetry, ToolRetryError) as retry:
        message = getattr(retry.__cause__, "message", None) or getattr(retry, "message", str(retry))
        recorder.hold(_processed(seam, ctx, call, "retry", recorder.seal_text(message)))
        raise


async def _begin(
    seam: Seam,
    ctx: RunContext[Any],
    call: str,
    name: str,
    declaration: Declaration,
    output: Any,
    entry: OutputEntry,
) -> Settled | None:
    recorder = seam.recorder
    key = recorder.key_of(seam.scope, ctx.run_step, f"{call}/output")
    args = recorder.seal(dump_json(output))
    found = ToolCall(
        scope=seam.scope,
        step=ctx.run_step,
        call=f"{call}/output",
        tool=name,
        schema="",
        args=b"",
        declaration=declaration,
        key=key,
        attempt=Attempt(entry.attempts + 1, args),
    )
    if entry.started is not None:
        known = recorder.replay.tools.pop((found.scope, found.step, found.call, False), ToolEntry())
        known.started = known.started or started_by(entry.started)
        if (settled := await recovered(recorder, found, known)) is not None:
            return settled
    recorder.entering.announce(found)
    await recorder.intend(
        ev.OutputStarted(
            scope=seam.scope,
            step=ctx.run_step,
            call=call,
            name=name,
            recovery=declaration.recovery,
            key=key,
            args=args,
            attempt=entry.attempts + 1,
        )
    )
    enter(Effect(key=key, attempt=entry.attempts + 1, run=recorder.claimed.run, tenant=recorder.claimed.tenant))
    recorder.entering.enter(found)
    return None


def started_by(output: ev.OutputStarted) -> ev.ToolStarted:
    """An output function's intent in the form that recovery asks for."""
    return ev.ToolStarted(
        scope=output.scope,
        step=output.step,
        call=f"{output.call}/output",
        tool=output.name,
        recovery=output.recovery,
        key=output.key,
        args=output.args,
        schema="",
        attempt=output.attempt,
    )


def _processed(seam: Seam, ctx: RunContext[Any], call: str, outcome: Any, result: Ref) -> ev.OutputProcessed:
    return ev.OutputProcessed(scope=seam.scope, step=ctx.run_step, call=call, outcome=outcome, result=result)


def _replayed(seam: Seam, processed: ev.OutputProcessed) -> Any:
    assert processed.result is not None
    if processed.outcome == "retry":
        raise ModelRetry(seam.recorder.text(processed.result))
    return load_result(seam.recorder.content(processed.result))
