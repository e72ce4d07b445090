"""The innermost model wrapper: commits the intent of each request, on exactly what is sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import CompletedStreamedResponse, Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

if TYPE_CHECKING:
    from holdfast.engine.modelstep import ModelStep


class JournaledModel(WrapperModel):
    """Sends a request only after its intent is committed."""

    def __init__(self, wrapped: Model, step: ModelStep) -> None:
        super().__init__(wrapped)
        self._step = step

    # The framework enters this wrapper around each request, and leaves the wrapped model to its owner.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        return None

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The model's response, or the recorded one where a recorded rejection is being replayed."""
        if self._step.rejected is not None:
            return self._step.rejected
        return await self._step.send(self.wrapped, messages, model_settings, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The same, streamed."""
        if self._step.rejected is not None:
            yield CompletedStreamedResponse(
                self._step.rejected, model_request_parameters=model_request_parameters, replay_events=True
            )
            return
        async with self._step.stream(
            self.wrapped, messages, model_settings, model_request_parameters, run_context
        ) as stream:
            yield stream
