"""Sub-agents: a run's capabilities do not reach an agent that a tool runs, so their model and toolsets are replaced
for the time of the run (`agent.override`), and their steps are journaled under the outer call's scope.

Only inside a `delegate` tool: its body is entered again after a crash and finds its inner steps done. In any other
tool a sub-agent is part of that tool's single step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelMessage, ModelResponse, UserPromptPart
from pydantic_ai.models import (
    CompletedStreamedResponse,
    Model,
    ModelRequestParameters,
    StreamedResponse,
    infer_model,
)
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets import FunctionToolset

from holdfast.domain.errors import UserError
from holdfast.domain.recovery import Recovery
from holdfast.engine.call import ToolCall
from holdfast.engine.modelstep import ModelStep
from holdfast.engine.outside import Outside, surrounding
from holdfast.engine.subtoolset import SubToolset
from holdfast.engine.usage import as_usage

if TYPE_CHECKING:
    from pydantic_ai.agent import AbstractAgent

    from holdfast.engine.recorder import Recorder


class SubAgents:
    """The declared sub-agents of one execution."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._models: dict[str, ModelStep] = {}
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def entered(self) -> Generator[None]:
        """Replace models and toolsets of the declared agents, in this task and those it starts."""
        with ExitStack() as stack:
            for position, agent in enumerate(self.recorder.task.agents):
                name = agent.name or f"agent{position}"
                stack.enter_context(
                    agent.override(
                        model=SubModel(_model_of(agent, name), self, name),
                        # One that is empty, so that even an agent without tools passes by `get_tools`.
                        toolsets=[SubToolset(toolset, self, name) for toolset in (*agent.toolsets, FunctionToolset())],
                        tools=[],
                    )
                )
            yield

    def enter(self, call: ToolCall, context: RunContext[Any]) -> Outside:
        """What runs from now on is inside of `call`, until `leave`."""
        outside = Outside(call, context)
        if self.recorder.task.agents:
            outside.token = surrounding.set(outside)
        return outside

    def leave(self, outside: Outside) -> None:
        """What runs from now on is where it was before `enter`."""
        if outside.token is not None:
            surrounding.reset(outside.token)
        own = [context.usage for context in outside.contexts.values() if context.usage is not outside.usage]
        if own:
            self.recorder.inner.leave(own)

    def current(self) -> Outside | None:
        """The delegate call that the running code is inside of."""
        outside = surrounding.get()
        if outside is None or outside.call.declaration.recovery is not Recovery.DELEGATE:
            return None
        if asyncio.get_running_loop() is not self._loop:
            raise UserError(
                f"'{outside.call.tool}' runs a sub-agent in a thread, from where its steps cannot be journaled. Make "
                "it an async function that awaits agent.run(...), not run_sync."
            )
        return outside

    def model_step(self, scope: str) -> ModelStep:
        """The model requests of an inner run."""
        found = self._models.get(scope)
        if found is None:
            found = self._models[scope] = ModelStep(self.recorder, scope)
        return found


def _model_of(agent: AbstractAgent[Any, Any], name: str) -> Model:
    if agent.model is None:
        raise UserError(f"Sub-agent '{name}' has no model of its own. Give it one: Agent('provider:model', ...).")
    return agent.model if isinstance(agent.model, Model) else infer_model(agent.model)


class SubModel(WrapperModel):
    """A sub-agent's model: each request is journaled and replayed."""

    def __init__(self, wrapped: Model, subagents: SubAgents, agent: str) -> None:
        super().__init__(wrapped)
        self._subagents = subagents
        self._agent = agent

    def _step(self, messages: list[ModelMessage]) -> tuple[ModelStep, RunContext[Any], Outside] | None:
        outside = self._subagents.current()
        if outside is None:
            return None
        # The framework stamps a request with its run before it is sent.
        context = outside.contexts[messages[-1].run_id]
        recorder = self._subagents.recorder
        recorder.inner.of(context.usage).asks(context.run_id, context.messages)
        asked = _asked(messages[-1])
        # Runs that a body starts together come in any order: their prompts tell which is which, where they differ.
        scope = outside.scope_of(self._agent, context.run_id, lambda scope: _first_asked(recorder, scope) == asked)
        return self._subagents.model_step(scope), context, outside

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The recorded response, or a new one."""
        found = self._step(messages)
        if found is None:
            return await super().request(messages, model_settings, model_request_parameters)
        step, context, outside = found
        history = list(messages)
        response = step.recorded(context.run_step, model_request_parameters, history)
        if response is None:
            response = await step.send(self.wrapped, messages, model_settings, model_request_parameters)
            step.record(history, response)
        _count(outside, context, response)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The same, streamed."""
        found = self._step(messages)
        if found is None:
            async with super().request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as stream:
                yield stream
            return
        step, context, outside = found
        history = list(messages)
        response = step.recorded(context.run_step, model_request_parameters, history)
        if response is None:
            begun: StreamedResponse | None = None
            try:
                async with step.stream(
                    self.wrapped, messages, model_settings, model_request_parameters, run_context
                ) as stream:
                    begun = stream
                    yield stream
            except Exception:
                # The framework counts it, as far as it had come; as a request, where anything had.
                if begun is not None:
                    _count(outside, context, begun.get(), asked=bool(begun.get().parts))
                raise
            response = stream.get()
            step.record(history, response)
        else:
            yield CompletedStreamedResponse(
                response, model_request_parameters=model_request_parameters, replay_events=True
            )
        _count(outside, context, response)


def _asked(message: ModelMessage) -> list[Any]:
    return [part.content for part in message.parts if isinstance(part, UserPromptPart)]


def _first_asked(recorder: Recorder, scope: str) -> list[Any] | None:
    """What the recorded first request of an inner run asked, None where there is none."""
    entry = recorder.replay.models.get((scope, 1))
    if entry is None or not entry.lists:
        return None
    names = recorder.whole(entry.lists[0]).add
    return _asked(recorder.message(names[-1])) if names else None


def _count(outside: Outside, context: RunContext[Any], response: ModelResponse, *, asked: bool = True) -> None:
    if context.usage is outside.usage:
        outside.count(replace(as_usage(response.usage), requests=int(asked)))
