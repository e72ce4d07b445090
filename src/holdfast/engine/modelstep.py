"""One model request step: replay ▸ announce each attempt ▸ send ▸ record the response the agent goes on with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_ai.exceptions import ModelHTTPError, ModelRetry, SkipModelRequest
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ToolCallPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.domain.limits import describe
from holdfast.domain.recovery import Recovery
from holdfast.engine.affording import announce_request, give_up
from holdfast.engine.attempts import attempts_of, explained, failed_attempts
from holdfast.engine.bill import Bill
from holdfast.engine.bounding import Bounded, bounded
from holdfast.engine.codec import dump_message
from holdfast.engine.economy import Choice, chosen
from holdfast.engine.errors import AnswerCut, ModelTimedOut
from holdfast.engine.flight import StepInFlight
from holdfast.engine.interrupt import Diverged, Halted, Interrupt
from holdfast.engine.recorder import Recorder
from holdfast.engine.showing import show
from holdfast.engine.surface import Surface, output_digest
from holdfast.engine.usage import as_usage

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from holdfast.store.live import LiveRun


class ModelStep:
    """The model requests of one scope, step after step."""

    def __init__(self, recorder: Recorder, scope: str, live: LiveRun | None = None) -> None:
        self._recorder = recorder
        self._scope = scope
        self.live = live
        self.step = 0
        self.attempt = 0
        self.rejected: ModelResponse | None = None
        """A recorded response that was rejected: the model wrapper gives it without asking the model."""
        self.rejection = ""
        self.raw: ModelResponse | None = None
        self.watched = False
        """Whether deltas of the request under way go to watching clients."""
        self._began = 0.0
        self._bill = Bill(recorder.gear.prices)
        self._surface = Surface(recorder)

    def begin(self, step: int) -> None:
        """What follows is about this step."""
        self.step, self.attempt, self.rejected, self.raw = step, 0, None, None
        self._bill.begin()

    # --- replay ------------------------------------------------------------------------------------------------

    def recorded(
        self, step: int, parameters: ModelRequestParameters, messages: list[ModelMessage]
    ) -> ModelResponse | None:
        """The recorded response of a step, with `messages` made what the model saw; None: it is still to be made.

        Raises:
            ModelRetry: a hook had rejected the request before there was an answer.
            Diverged: the journal holds work that the code no longer asks for, or another output schema.
        """
        self.begin(step)
        replay = self._recorder.replay
        if left := replay.left_over(self._scope, before_step=step):
            raise Diverged(f"before model request {step}", {"recorded": left}, {"asked for": []})
        entry = replay.models.pop((self._scope, step), None)
        if (note := replay.notes.get((self._scope, _rejected_unsent(step)))) is not None:
            raise ModelRetry(self._recorder.text(note.value))
        if entry is None:
            if later := replay.answered_after(self._scope, step):
                raise Diverged(f"model request {step}", {"recorded": later}, {"asked for": [f"model request {step}"]})
            return None
        self.attempt = entry.attempts
        self._bill.begin(entry.unanswered)
        log = self._recorder.log(self._scope)
        history = log.last
        for delta in entry.lists:
            history = log.replay(self._recorder.whole(delta), self._recorder.message)
        if entry.response is None:
            return None
        found = output_digest(parameters)
        recorded = entry.requests[-1][1].output if entry.requests else found
        if recorded != found:
            raise Diverged(f"model request {step}", {"output schema": recorded}, {"output schema": found})
        recorder = self._recorder
        recorder.heard = max(recorder.heard, entry.response.heard)
        messages[:] = history
        response = self._recorder.message(entry.response.response)
        assert isinstance(response, ModelResponse)
        log.know(response, entry.response.response)
        if entry.response.retry is not None:
            self.rejected, self.rejection = response, self._recorder.text(entry.response.retry)
        return response

    # --- live --------------------------------------------------------------------------------------------------

    async def send(
        self,
        model: Model,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model, once the intent to send it exactly these messages is committed.

        Raises:
            ModelTimedOut: it took longer than the task allows.
        """
        choice = await chosen(self._recorder, model)
        bound, flying = await self._announced(choice, messages, settings, parameters, streamed=False)
        try:
            # Not by way of a wrapper's `super()`: the framework wraps each class's method in bookkeeping of its own.
            asked = choice.model.request(messages, bound.settings, parameters)
            self.raw = await self._recorder.flight.in_time(flying, asked)
        except Exception as error:  # noqa: BLE001 - recorded and raised again
            self._failed(flying, error)
        except asyncio.CancelledError as cut:
            self._left(cut)
            raise
        finally:
            self._landed(flying)
        self._recorder.gear.probe("model.answered")
        assert self.raw is not None
        self._paid(self.raw)
        self._whole(self.raw, bound, flying.name)
        return self.raw

    @asynccontextmanager
    async def stream(
        self,
        model: Model,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The same, streamed: the block reads the response."""
        flight, choice = self._recorder.flight, await chosen(self._recorder, model)
        bound, flying = await self._announced(choice, messages, settings, parameters, streamed=True)
        cancelling = self._limited(flying)
        try:
            async with choice.model.request_stream(messages, bound.settings, parameters, run_context) as stream:
                self._bill.stream = stream
                yield stream
                self.raw = stream.get()
        except asyncio.CancelledError as cut:
            if flight.free(flying) > cancelling or not flying.cut:
                self._left(cut)
                raise
            if flying.stopped is not None:
                raise flying.stopped from None
            self._failed(flying, TimeoutError())
        except Exception as error:
            if flying.stopped is not None:
                raise flying.stopped from error
            self._failed(flying, error)
        finally:
            flight.free(flying)
            self._landed(flying)
            self._bill.stream = None
        self._recorder.gear.probe("model.answered")
        self._paid(self.raw)
        self._whole(self.raw, bound, flying.name)

    def _paid(self, raw: ModelResponse) -> None:
        cost = self._bill.pay(raw)
        tried = failed_attempts(self._recorder.gear.prices, raw.failed_attempts)
        self._recorder.budgeting.answered(self._scope, self.step, self.attempt, raw, cost, tried)

    def show(self, event: Any) -> None:
        """Let watching clients see text of the request under way, where there is one."""
        if not self.watched:
            return
        assert self.live is not None
        show(self.live, event)

    def _limited(self, flying: StepInFlight) -> int:
        self._recorder.flight.limit(flying)
        return flying.limited.cancelling() if flying.limited is not None else 0

    async def _announced(
        self,
        choice: Choice,
        messages: Sequence[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        *,
        streamed: bool,
    ) -> tuple[Bounded, StepInFlight]:
        """Commit the intent to send exactly these messages to this model; from now on the request is under way."""
        self.attempt += 1
        recorder, model = self._recorder, choice.model
        intent = ev.ModelRequested(
            scope=self._scope,
            step=self.step,
            attempt=self.attempt,
            model=model.model_name,
            messages=recorder.log(self._scope).delta(messages),
            instructions=self._surface.instructions(messages),
            tools=self._surface.tools(parameters),
            output=output_digest(parameters),
            streamed=streamed,
            unanswered=self._bill.ask(model.model_name),
            instead_of=choice.instead_of,
            switched=choice.why,
        )

        def made(bound: Bounded) -> ev.ModelRequested:
            return replace(
                intent,
                settings=self._surface.settings(bound.settings),
                bound=bound.bound,
                bound_usd_micros=bound.usd_micros,
                reserved=bool(bound.parts) and recorder.budgeting.is_wanted,
            )

        try:
            bound, seq = await announce_request(
                recorder, made, lambda short: bounded(recorder, model, messages, settings, parameters, short)
            )
        except Interrupt:
            # A task group would cut off the calls of runs beside this one.
            await recorder.flight.wait_for_family(self._scope)
            raise
        if self.live is not None and streamed:
            self.live.begin(seq, self.attempt)
            self.watched = True
        recorder.gear.probe("model.sending")
        self._began = time.monotonic()
        flying = StepInFlight(
            what="model",
            name=intent.model,
            recovery=Recovery.PURE,
            group=(self._scope, self.step),
            deadline=self._began + recorder.task.model_timeout_s,
            started=self._began,
        )
        # Before the look: who counts what is under way when a halt comes must not miss it.
        recorder.flight.begin(flying)
        try:
            recorder.look("model", intent.model)
        except BaseException as kept:
            recorder.flight.end(flying)
            if isinstance(kept, Halted):
                self._record_failure(kept, sent=False)
            raise
        return bound, flying

    def _whole(self, response: ModelResponse, bound: Bounded, model: str) -> None:
        """Refuse an answer that a limit of the run's or a budget cut short: it is no failure of the model's.

        Raises:
            Limited, Park, Unaffordable: it is one.
        """
        cut_by, limiting = bound.cut_by, self._recorder.limiting
        if cut_by is None or response.finish_reason != "length":
            return
        what = f"the limit on {describe(cut_by)}" if isinstance(cut_by, str) else f"a budget. {cut_by}"
        cut = AnswerCut(f"The answer was cut by what was left of {what}")
        self._record_failure(cut, self._bill.settle(), response)
        if not isinstance(cut_by, str):
            give_up(self._recorder, cut_by)
        assert limiting is not None
        limiting.cut_short(cut_by, model)

    def _failed(self, flying: StepInFlight, error: Exception) -> NoReturn:
        """Record that the attempt failed, and raise what says so."""
        if flying.expired and isinstance(error, TimeoutError):
            limit_s = self._recorder.task.model_timeout_s
            late = ModelTimedOut(f"'{flying.name}' did not answer within {limit_s:g} s.")
            self._record_failure(late)
            raise late from None
        self._record_failure(error)
        raise error

    def _left(self, cut: BaseException) -> None:
        """Somebody who waited for it left it, as an agent's own time limit: it may be on the bill all the same."""
        if self._recorder.stop is None:
            with suppress(BaseException):
                self._record_failure(cut)

    def _record_failure(
        self,
        error: BaseException,
        paid: ev.Cost | None = None,
        answer: ModelResponse | None = None,
        *,
        sent: bool = True,
    ) -> None:
        recorder = self._recorder
        recorder.hold(
            ev.ModelFailed(
                scope=self._scope,
                step=self.step,
                attempt=self.attempt,
                error=type(error).__qualname__,
                message=recorder.seal_text(explained(error)),
                status=error.status_code if isinstance(error, ModelHTTPError) else None,
                latency_ms=self._latency_ms(),
                failed=failed_attempts(recorder.gear.prices, attempts_of(error)),
                usage=None if answer is None else as_usage(answer.usage),
                model=self._bill.asked,
                cost=(paid or self._bill.lose(error)) if sent else None,
            )
        )

    def _landed(self, flying: StepInFlight) -> None:
        self._recorder.flight.end(flying)
        self.watched = False

    async def answered(
        self,
        history: list[ModelMessage],
        ask: Callable[[], Awaitable[ModelResponse]],
    ) -> ModelResponse:
        """Run the request through the user's hooks and the model, and record what the agent goes on with."""
        try:
            response = await ask()
        except ModelRetry as retry:
            if self.raw is not None:
                self.record(history, self.raw, retry=retry.message)
            else:
                self._recorder.hold(
                    ev.Noted(
                        scope=self._scope,
                        key=_rejected_unsent(self.step),
                        value=self._recorder.seal_text(retry.message),
                    )
                )
            raise
        except SkipModelRequest as skipped:
            self.record(history, skipped.response)
            raise
        except Exception as error:
            if (paid := self._bill.settle()) is not None:
                # It answered, and what a hook made of that ends the run: it was paid for.
                self._record_failure(error, paid)
            raise
        self.record(history, response)
        return response

    def record(self, history: list[ModelMessage], response: ModelResponse, *, retry: str | None = None) -> None:
        """Write what the agent goes on with."""
        recorder, log = self._recorder, self._recorder.log(self._scope)
        # The framework stamps these once the response is in the history; written now, it is stored once.
        if history:
            response.run_id = response.run_id or history[-1].run_id
            response.conversation_id = response.conversation_id or history[-1].conversation_id
        raw = self.raw
        recorder.hold(
            ev.ModelResponded(
                scope=self._scope,
                step=self.step,
                attempt=self.attempt,
                response=Ref(log.name(response)),
                history=log.delta(history),
                model=response.model_name or "",
                provider=response.provider_name or "",
                finish_reason=response.finish_reason or "",
                usage=as_usage(response.usage),
                latency_ms=self._latency_ms(),
                calls=[part.tool_call_id for part in response.parts if isinstance(part, ToolCallPart)],
                retry=None if retry is None else recorder.seal_text(retry),
                heard=recorder.heard,
                failed=self._bill.tried(response),
                cost=self._bill.settle(),
                raw=None if raw is None or _same(raw, response) else recorder.seal(dump_message(raw)),
            )
        )
        if self.live is not None:
            self.live.end()

    def _latency_ms(self) -> int:
        return round(1000 * (time.monotonic() - self._began)) if self._began else 0


def _same(raw: ModelResponse, response: ModelResponse) -> bool:
    # What a stream gives at its end is a copy that the framework has not stamped yet; hooks change parts.
    return raw is response or raw.parts == response.parts


def _rejected_unsent(step: int) -> str:
    return f"model#{step}"
