"""The short road: a plain agent's first execution, journaled by its model and its tools alone.

A capability costs a tenth of a bare run by being there: the framework asks it at some twenty points of each step, with
a copy of the context each time. Where the agent has no capabilities of its own, nothing lies between what the framework
hands over and what the model or tool receives, and a wrapper around each of them sees all there is to record.

The short road only records. Whatever more is wanted (a tool's question to people, a call deferred, work recorded
before) is the capabilities' to do: `LongRoad` stops the agent and the run goes on with them from its journal, as it
does on another machine after a crash. That works because both roads write the same facts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakValueDictionary

from pydantic_ai.agent import Agent
from pydantic_ai.capabilities import Instrumentation
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext, Tool, ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset

from holdfast.engine.approvals import shown_args
from holdfast.engine.asking import ask
from holdfast.engine.call import Attempt, CallNames, ToolCall
from holdfast.engine.emitted import HeardContext
from holdfast.engine.entering import looking_at
from holdfast.engine.inspect import declaration_for, returns_of, schema_digest
from holdfast.engine.interrupt import LongRoad
from holdfast.engine.model import JournaledModel
from holdfast.engine.modelstep import ModelStep
from holdfast.engine.outside import Outside
from holdfast.engine.questioning import ask_question
from holdfast.engine.seam import args_bytes, has_own_capabilities, infrastructure, perform_intent
from holdfast.engine.step import tool_step

if TYPE_CHECKING:
    from types import CoroutineType

    from holdfast.effects.declare import Declaration
    from holdfast.engine.recorder import Recorder
    from holdfast.store.live import LiveRun
    from holdfast.task import Task

_OF_STREAMS = frozenset({"request_timeout", "first_event_timeout"})

_found_out: WeakValueDictionary[int, Any] = WeakValueDictionary()
"""Agents that turned out to want more: their runs need not try again."""


def may_go_short(task: Task) -> bool:
    """Whether runs of this task have nothing that only capabilities can carry, as far as can be known beforehand."""
    agent = task.agent
    return (
        type(agent) is Agent
        and isinstance(agent.model, Model)
        and not (task.stream and isinstance(agent.model, FallbackModel | WrapperModel))
        and agent.output_type is str
        and not task.agents
        and not has_own_capabilities(agent)
        and not _checks_answers(agent)
        and _found_out.get(id(agent)) is not agent
        and _only_functions(agent.toolsets)
    )


def _only_functions(toolsets: Sequence[AbstractToolset[Any]]) -> bool:
    """Whether there is one set of tools, at least one, that are functions to be called and nothing more."""
    if len(toolsets) != 1:
        # A second set of tools costs more than is saved here: the framework starts tasks to ask both.
        return False
    functions = _functions(toolsets)
    return (
        functions is not None
        and bool(functions.tools)
        and functions.timeout is None
        and all(map(_is_only_called, functions.tools.values()))
    )


def _functions(toolsets: Sequence[AbstractToolset[Any]]) -> FunctionToolset[Any] | None:
    first = toolsets[0]
    return first if isinstance(first, FunctionToolset) else None


def _is_only_called(tool: Tool[Any]) -> bool:
    # What prepares or checks may ask for approval before the call; a time limit may cut off what records it.
    asks = tool.requires_approval or tool.args_validator is not None or tool.prepare is not None
    return type(tool) is Tool and not asks and tool.timeout is None


def _checks_answers(agent: Agent[Any, Any]) -> bool:
    # Not public. Should it be gone in another version, answers are taken to be checked.
    return bool(getattr(agent, "_output_validators", True))


class ShortRoad:
    """One run of a plain agent, with nothing recorded before it."""

    scope = ""

    def __init__(self, recorder: Recorder, model: Model, live: LiveRun | None) -> None:
        self.recorder = recorder
        self.run_id = str(recorder.claimed.run)
        self._step = ModelStep(recorder, self.scope, live)
        self._model = ShortModel(model, self._step, self)
        self._names = CallNames()
        self._context: RunContext[Any] | None = None
        """Of the step under way: the tools are told it before each request, the model is not."""

    @contextmanager
    def entered(self) -> Generator[None]:
        """Replace the agent's tools, in this task and those it starts."""
        agent = self.recorder.task.agent
        functions = _functions(agent.toolsets)
        assert functions is not None
        with agent.override(tools=[ShortTool.of(tool, self) for tool in functions.tools.values()]):
            yield

    def capabilities(self) -> list[Any]:
        """None."""
        return []

    def model_of_run(self) -> Model:
        """The agent's own model, journaled."""
        return self._model

    def begins(self, context: RunContext[Any]) -> None:
        """A step begins.

        Raises:
            LongRoad: it wants more than can be had here.
        """
        if self._context is None and not self._is_all_there_is(context):
            self.find_out("something was added to the run from outside")
        if self._context is None or self._context.run_step != context.run_step:
            self._context = context
            for message in self.recorder.take_messages():
                context.enqueue(message)

    def _is_all_there_is(self, context: RunContext[Any]) -> bool:
        if context.model is not self._model or context.root_capability is None:
            return False
        found = list[Any]()
        context.root_capability.apply(found.append)
        # Telemetry changes nothing. Of a stream it wants to know when it began, which only the framework sees.
        known = infrastructure() if self.recorder.task.stream else infrastructure() | {Instrumentation}
        return all(type(one) in known for one in found)

    async def asked(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """A request of the run's: announced, sent, recorded."""
        context, step = self._context, self._step
        assert context is not None
        if parameters.native_tools:
            self.find_out("a tool of the provider's may suspend the response")
        if self.recorder.task.stream and settings and not _OF_STREAMS.isdisjoint(settings):
            self.find_out("there is a time limit that is kept by the framework's own streaming")
        if step.step != context.run_step:
            step.begin(context.run_step)
        send = self._streamed if self.recorder.task.stream else step.send
        said = partial(self._whole, send, messages, settings, parameters)
        return await step.answered(context.messages, said)

    async def _whole(
        self,
        send: Any,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        response: ModelResponse = await send(self._model.wrapped, messages, settings, parameters)
        if response.state == "suspended":
            # The framework puts such a response together from several, which no model is shown.
            self.find_out("the response is to be continued")
        return response

    async def _streamed(
        self,
        model: Model,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        step = self._step
        async with step.stream(model, messages, settings, parameters, self._context) as stream:
            async for event in stream:
                step.show(event)
        assert step.raw is not None
        return step.raw

    async def called(self, tool: ShortTool, args: dict[str, Any], context: RunContext[Any]) -> Any:
        """A call of the run's, through the pipeline of `step.py`."""
        recorder, call = self.recorder, self._call(tool, args, context)

        async def perform() -> Any:
            recorder.entering.announce(call)
            await perform_intent(recorder, call, call.args, args)
            recorder.entering.enter(call)
            body = looking_at(tool.body, partial(recorder.entering.enter_in_thread, call)) or tool.body.call
            return await body(args, HeardContext.of(context, call) if tool.takes_ctx else context)

        try:
            return await tool_step(recorder, call, perform, nested=Outside(call, context))
        except ApprovalRequired as required:
            # The question reaches the inbox now, while siblings go on.
            await ask(recorder, self._as_shown(call, tool, args, context), required)
            await self._after_siblings(call, "a call waits for approval")
        except CallDeferred as deferred:
            await ask_question(recorder, self._as_shown(call, tool, args, context), deferred.kind, deferred.metadata)
            await self._after_siblings(call, "a call was deferred")

    def _as_shown(self, call: ToolCall, tool: ShortTool, args: dict[str, Any], context: RunContext[Any]) -> ToolCall:
        return replace(call, args=shown_args(_part(context, tool, args)))

    def _call(self, tool: ShortTool, args: dict[str, Any], context: RunContext[Any]) -> ToolCall:
        assert context.tool_call_id is not None
        step = context.run_step
        call = self._names.name(step, context.tool_call_id, approved=context.tool_call_approved)
        return ToolCall(
            scope=self.scope,
            step=step,
            call=call,
            tool=tool.name,
            schema=tool.digest,
            args=args_bytes(args, lambda: _part(context, tool, args)),
            declaration=tool.declaration,
            returns=tool.returns,
            approved=context.tool_call_approved,
            key=self.recorder.key_of(self.scope, step, call),
            attempt=Attempt(),
        )

    async def _after_siblings(self, call: ToolCall, why: str) -> NoReturn:
        # The framework would cut them off.
        await self.recorder.flight.wait_for_group((call.scope, call.step))
        self._leave(why)

    def find_out(self, why: str) -> NoReturn:
        """Leave the short road, and remember that this agent has no business there."""
        agent = self.recorder.task.agent
        _found_out[id(agent)] = agent
        self._leave(why)

    def _leave(self, why: str) -> NoReturn:
        leaving = LongRoad(why)
        self.recorder.interrupted_by(leaving)
        raise leaving


def _part(context: RunContext[Any], tool: ShortTool, args: dict[str, Any]) -> ToolCallPart:
    """The call as the model wrote it."""
    for message in reversed(context.messages):
        if isinstance(message, ModelResponse):
            for part in message.tool_calls:
                if part.tool_call_id == context.tool_call_id:
                    return part
            break
    return ToolCallPart(tool.name, args, tool_call_id=context.tool_call_id or tool.name)


class ShortModel(JournaledModel):
    """The agent's own model, as its run is given it."""

    def __init__(self, wrapped: Model, step: ModelStep, road: ShortRoad) -> None:
        super().__init__(wrapped, step)
        self._road = road

    # Not a coroutine function: the framework would wrap it in bookkeeping that the model itself does as well.
    def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> CoroutineType[Any, Any, ModelResponse]:
        """The model's response, recorded."""
        return self._road.asked(messages, model_settings, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],  # noqa: ARG002 - the framework's signature
        model_settings: ModelSettings | None,  # noqa: ARG002
        model_request_parameters: ModelRequestParameters,  # noqa: ARG002
        run_context: Any = None,  # noqa: ARG002
    ) -> AsyncGenerator[StreamedResponse]:
        """Something wants to see the run's events, and the framework streams."""
        self._road.find_out("the run's events are listened to")
        yield


class ShortTool(Tool[Any]):
    """One of the agent's own tools: each call is journaled."""

    road: ShortRoad
    digest: str
    declaration: Declaration
    returns: Any
    body: Any
    """The schema of the tool's own function, by which it is called."""

    @classmethod
    def of(cls, tool: Tool[Any], road: ShortRoad) -> ShortTool:
        """`tool`, called by way of `road`."""
        made = cls.__new__(cls)
        made.__dict__.update(tool.__dict__)
        made.road = road
        made.digest = schema_digest(tool.tool_def)
        made.declaration = declaration_for(road.recorder.task, tool.name, tool.function)
        made.returns = returns_of(tool.function)
        made.body = tool.function_schema
        made.function_schema = replace(tool.function_schema)
        # The toolset asks the schema for what it is to call.
        made.function_schema.__dict__["call"] = made.call
        return made

    async def prepare_tool_def(self, ctx: RunContext[Any]) -> ToolDefinition | None:
        """As the tool does; it happens at the beginning of each step."""
        if ctx.run_id == self.road.run_id:
            self.road.begins(ctx)
        return await super().prepare_tool_def(ctx)

    def call(self, args: dict[str, Any], ctx: RunContext[Any]) -> Awaitable[Any]:
        """Call the tool; journaled, except where the agent runs itself inside a tool, as part of that one's step."""
        if ctx.run_id != self.road.run_id:
            return self.body.call(args, ctx)
        return self.road.called(self, args, ctx)
