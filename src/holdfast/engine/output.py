"""One processing of the model's answer: output functions run once, rejections are remembered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic_ai.exceptions import ModelRetry, ToolRetryError
from pydantic_ai.output import OutputContext
from pydantic_ai.tools import RunContext

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.effects.declare import Effect, enter
from holdfast.engine.affording import announce_call
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import dump_json, dump_result, load_result
from holdfast.engine.emitted import emit_again, emitted
from holdfast.engine.enqueued import enqueue_again, enqueued_since, waiting
from holdfast.engine.flight import StepInFlight
from holdfast.engine.inspect import declaration_for, output_functions_of
from holdfast.engine.interrupt import Interrupt
from holdfast.engine.late import Known
from holdfast.engine.recovery import Settled, recovered
from holdfast.engine.replay import OutputEntry, ToolEntry
from holdfast.engine.toolcost import cost_of_output

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
    answer = context.tool_call.tool_call_id if context.tool_call is not None else "answer"
    entry = recorder.replay.outputs.pop((seam.scope, ctx.run_step, answer, False), None) or OutputEntry()
    handing = _Handing(seam, ctx, context, answer, entry.attempts + 1)
    if entry.processed is not None:
        with handing.heard():
            return await handing.again(entry.processed)
    flying = StepInFlight(
        what="tool",
        name=handing.call.tool,
        recovery=handing.call.declaration.recovery if context.has_function else Recovery.PURE,
        group=(seam.scope, ctx.run_step),
        deadline=time.monotonic() + recorder.task.tool_timeout_s,
        attempt=handing.call.attempt,
    )
    with recorder.flight.carrying(flying), handing.heard():
        try:
            if not context.has_function:
                return await handing.validated(output, handler)
            if (settled := await handing.begin(output, entry)) is not None:
                return await handing.again(handing.settled(settled))
            result = await handing.validated(output, handler)
            handing.done(result)
        except (ModelRetry, ToolRetryError):
            raise
        except (Interrupt, Exception):
            # The framework would cut off the tools beside it.
            await recorder.flight.wait_for_siblings(flying)
            raise
        return result


class _Handing:
    """One answer on its way through output functions and validators. Its call is an effect like a tool's."""

    def __init__(self, seam: Seam, ctx: RunContext[Any], context: OutputContext, answer: str, attempt: int) -> None:
        recorder = seam.recorder
        name = context.function_name or "output"
        self._seam, self._ctx, self._answer = seam, ctx, answer
        self.call = ToolCall(
            scope=seam.scope,
            step=ctx.run_step,
            call=f"{answer}/output",
            tool=name,
            schema="",
            args=b"",
            declaration=declaration_for(recorder.task, name, output_functions_of(recorder.task.agent).get(name)),
            key=recorder.key_of(seam.scope, ctx.run_step, f"{answer}/output"),
            attempt=Attempt(attempt),
        )

    @contextmanager
    def heard(self) -> Generator[None]:
        """What is emitted and enqueued while the block runs is part of the outcome."""
        call, ctx = self.call, self._ctx
        call.attempt.enqueued = partial(enqueued_since, self._seam.recorder, call, ctx, waiting(ctx))
        place = (ctx.run_step, ctx.tool_call_id or "")
        self._seam.outputs[place] = call
        try:
            yield
        finally:
            del self._seam.outputs[place]

    async def begin(self, output: Any, entry: OutputEntry) -> Settled | None:
        """Recover or announce the call of an output function. None: it may be entered."""
        recorder, call = self._seam.recorder, self.call
        call.attempt.args = recorder.seal(dump_json(output))
        if entry.started is not None:
            known = recorder.replay.tools.pop((call.scope, call.step, call.call, False), ToolEntry())
            known.started = known.started or started_by(entry.started)
            if (settled := await recovered(recorder, call, known)) is not None:
                return settled
        recorder.entering.announce(call)
        await announce_call(
            recorder,
            ev.OutputStarted(
                scope=call.scope,
                step=call.step,
                call=self._answer,
                name=call.tool,
                recovery=call.declaration.recovery,
                key=call.key,
                args=call.attempt.args,
                attempt=call.attempt.number,
                bound_usd_micros=call.declaration.cost_usd_micros,
            ),
        )
        claimed = recorder.claimed
        enter(
            Effect(
                key=call.key,
                attempt=call.attempt.number,
                run=claimed.run,
                tenant=claimed.tenant,
                charges=call.attempt.charges,
            )
        )
        recorder.entering.enter(call)
        return None

    async def validated(self, output: Any, handler: Handler) -> Any:
        """What functions and validators make of the answer; that they reject it is recorded."""
        try:
            return await handler(output)
        except (ModelRetry, ToolRetryError) as retry:
            message = getattr(retry.__cause__, "message", None) or getattr(retry, "message", str(retry))
            attempt = self.call.attempt
            self._record("retry", self._seam.recorder.seal_text(message), attempt.enqueued(), self._emitted())
            raise

    def done(self, result: Any) -> None:
        """An output function has ended, with this result."""
        recorder, call = self._seam.recorder, self.call
        known = Known(
            key=call.key,
            call=call.call,
            attempt=call.attempt.number,
            plain=(plain := dump_result(result)),
            result=recorder.seal(plain),
            enqueued=call.attempt.enqueued(),
            emitted=self._emitted(),
            cost=cost_of_output(call),
        )
        recorder.know_outcome(known)
        self._record("value", known.result, known.enqueued, known.emitted)

    def settled(self, settled: Settled) -> ev.OutputProcessed:
        """An output function that was begun earlier has ended, as somebody said."""
        return self._record("value", settled.result, settled.enqueued, settled.emitted, settled)

    async def again(self, processed: ev.OutputProcessed) -> Any:
        """What follows from an outcome that was recorded, by this worker or another."""
        recorder = self._seam.recorder
        assert processed.result is not None
        if processed.enqueued is not None:
            enqueue_again(self._ctx, recorder.content(processed.enqueued))
        if processed.emitted is not None:
            await emit_again(self.call, self._ctx, recorder.content(processed.emitted))
        if processed.outcome == "retry":
            raise ModelRetry(recorder.text(processed.result))
        return load_result(recorder.content(processed.result))

    def _emitted(self) -> Ref | None:
        return emitted(self._seam.recorder, self.call) if self.call.attempt.emitted else None

    def _record(
        self,
        outcome: Literal["value", "retry"],
        result: Ref,
        enqueued: Ref | None,
        emitted_: Ref | None,
        settled: Settled | None = None,
    ) -> ev.OutputProcessed:
        cost = cost_of_output(self.call, settled)
        fact = ev.OutputProcessed(
            scope=self.call.scope,
            step=self.call.step,
            call=self._answer,
            outcome=outcome,
            result=result,
            enqueued=enqueued,
            emitted=emitted_,
            name="" if cost is None else self.call.tool,
            cost=cost,
        )
        self._seam.recorder.hold(fact)
        return fact


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
