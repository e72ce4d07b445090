"""Sub-agents: a run's capabilities do not reach an agent that a tool runs, so their model and toolsets are replaced
for the time of the run (`agent.override`), and their steps are journaled under the outer call's scope.

Only inside a `delegate` tool: its body is entered again after a crash and finds its inner steps done. In any other
tool a sub-agent is part of that tool's single step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import ApprovalRequired, SkipToolExecution, ToolFailed
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart, UserPromptPart
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
from pydantic_ai.toolsets import FunctionToolset, ToolsetTool, WrapperToolset

from holdfast.domain import events as ev
from holdfast.domain.errors import UserError
from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn
from holdfast.engine.approvals import ask, shown_args
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import dump_args, parse
from holdfast.engine.emitted import HeardContext
from holdfast.engine.entering import looked_at
from holdfast.engine.inspect import declaration_for, function_at, returns_of, schema_digest
from holdfast.engine.interrupt import Park
from holdfast.engine.modelstep import ModelStep
from holdfast.engine.recorder import as_usage
from holdfast.engine.step import tool_step

if TYPE_CHECKING:
    from pydantic_ai.agent import AbstractAgent
    from pydantic_ai.usage import RunUsage

    from holdfast.engine.recorder import Recorder


@dataclass(slots=True)
class Outside:
    """The tool call that an inner run happens in."""

    call: ToolCall
    context: RunContext[Any]
    runs: dict[tuple[str, str | None], int] = field(default_factory=dict[tuple[str, str | None], int])
    """Numbers of inner runs, by agent and run id: the same on every machine."""
    contexts: dict[str | None, RunContext[Any]] = field(default_factory=dict[str | None, RunContext[Any]])
    """The context of each inner run's step under way: a toolset is told it before each request, a model is not."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0
    token: Token[Outside | None] | None = None

    @property
    def usage(self) -> RunUsage:
        """What the run of the call has used; inner runs may share it."""
        return self.context.usage

    def scope_of(self, agent: str, run_id: str | None, like: Callable[[str], bool] = lambda _: False) -> str:
        """The scope of an inner run: for a new one the first that is `like` it, else the first that is free."""
        number = self.runs.get((agent, run_id))
        if number is None:
            taken = {number for (name, _), number in self.runs.items() if name == agent}
            free = [number for number in range(1, len(taken) + _AT_ONCE) if number not in taken]
            number = next((number for number in free if like(self._scope(agent, number))), free[0])
            self.runs[agent, run_id] = number
        return self._scope(agent, number)

    def _scope(self, agent: str, number: int) -> str:
        return f"{self.call.inner}{agent}#{number}/"

    def count(self, usage: ev.Usage) -> None:
        """Add what an inner request used, where the inner run shares the outer's usage."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.requests += usage.requests
        self.tool_calls += usage.tool_calls

    @property
    def used(self) -> ev.Usage | None:
        """What the inner runs used, None where nothing."""
        if not (self.requests or self.tool_calls):
            return None
        return ev.Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
            requests=self.requests,
            tool_calls=self.tool_calls,
        )


_AT_ONCE = 100
"""How many inner runs of an agent are looked through for the one that is entered again."""

_outside: ContextVar[Outside | None] = ContextVar("holdfast_outside", default=None)


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
            outside.token = _outside.set(outside)
        return outside

    def leave(self, outside: Outside) -> None:
        """What runs from now on is where it was before `enter`."""
        if outside.token is not None:
            _outside.reset(outside.token)

    def current(self) -> Outside | None:
        """The delegate call that the running code is inside of."""
        outside = _outside.get()
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
            async with step.stream(
                self.wrapped, messages, model_settings, model_request_parameters, run_context
            ) as stream:
                yield stream
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


def _count(outside: Outside, context: RunContext[Any], response: ModelResponse) -> None:
    if context.usage is outside.usage:
        outside.count(as_usage(response.usage))


@dataclass
class SubToolset(WrapperToolset[Any]):
    """A sub-agent's tools: each call is journaled and replayed, and approvals reach the run's own inbox."""

    subagents: SubAgents
    agent: str
    gated: set[str] = field(default_factory=set[str])

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """The tools; those that need approval are gated here, where the run can park, not by the inner agent."""
        tools = await super().get_tools(ctx)
        outside = _outside.get()
        if outside is None:
            return tools
        outside.contexts[ctx.run_id] = ctx
        for name, tool in tools.items():
            if tool.tool_def.kind == "unapproved":
                self.gated.add(name)
                tools[name] = replace(tool, tool_def=replace(tool.tool_def, kind="function"))
        return tools

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """One inner call through the pipeline of `step.py`."""
        around = _outside.get()
        if around is not None and around.context.run_id == ctx.run_id:
            # An agent that is its own sub-agent: this is the outer run's own call, which is journaled already.
            return await super().call_tool(name, tool_args, ctx, tool)
        outside = self.subagents.current()
        if outside is None:
            return await self._unjournaled(name, tool_args, ctx, tool)
        recorder = self.subagents.recorder
        if name in self.gated:
            tool_args, ctx = await self._approved(outside, name, tool_args, ctx, tool)
        call = self._call(outside, name, tool_args, ctx, tool)
        try:
            return await self._through(recorder, call, name, tool_args, ctx, tool)
        except ApprovalRequired:
            tool_args, ctx = await self._approved(outside, name, tool_args, ctx, tool)
            call = self._call(outside, name, tool_args, ctx, tool)
            return await self._through(recorder, call, name, tool_args, ctx, tool)
        finally:
            if ctx.usage is outside.usage:
                outside.tool_calls += 1

    async def _unjournaled(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """A call inside a tool that is not `delegate`: part of that tool's single step, in which nobody can wait."""
        try:
            if name in self.gated and not ctx.tool_call_approved:
                raise ApprovalRequired
            return await super().call_tool(name, tool_args, ctx, tool)
        except ApprovalRequired:
            outside = _outside.get()
            if outside is None:
                raise
            raise UserError(
                f"'{name}' of sub-agent '{self.agent}' asks for approval inside '{outside.call.tool}', which is one "
                f"step and cannot wait. Declare '{outside.call.tool}' @effect.delegate, and let it only run agents."
            ) from None

    async def _through(
        self,
        recorder: Recorder,
        call: ToolCall,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],
    ) -> Any:
        from holdfast.engine.seam import perform_intent

        ctx = HeardContext.of(ctx, call)

        async def perform() -> Any:
            await perform_intent(recorder, call, dump_args(tool_args))
            recorder.look()
            return await super(SubToolset, self).call_tool(name, tool_args, ctx, looked_at(tool, recorder.look))

        nested = self.subagents.enter(call, ctx)
        try:
            return await tool_step(recorder, call, perform, nested=nested)
        except SkipToolExecution as replayed:
            return replayed.result
        finally:
            self.subagents.leave(nested)

    async def _approved(
        self,
        outside: Outside,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],
    ) -> tuple[dict[str, Any], RunContext[Any]]:
        recorder = self.subagents.recorder
        part = ToolCallPart(name, tool_args, tool_call_id=ctx.tool_call_id or name)
        asked = self._call(outside, name, tool_args, ctx, tool)
        entry = await ask(recorder, replace(asked, args=shown_args(part), attempt=Attempt()))
        if entry.decided is None:
            await recorder.flight.wait_for_family(asked.scope)
            raise Park(WaitingOn.APPROVAL, f"'{name}' of sub-agent '{self.agent}' asks for approval")
        if entry.decided.verdict == "rejected":
            raise ToolFailed(
                recorder.text(entry.decided.reason) if entry.decided.reason else "A person rejected this call."
            )
        if entry.decided.args is not None:
            tool_args = tool.args_validator.validate_python(parse(recorder.content(entry.decided.args)))
        return tool_args, replace(ctx, tool_call_approved=True)

    def _call(
        self,
        outside: Outside,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],
    ) -> ToolCall:
        scope = outside.scope_of(self.agent, ctx.run_id)
        recorder = self.subagents.recorder
        function = function_at(tool)
        call = ctx.tool_call_id or name
        return ToolCall(
            scope=scope,
            step=ctx.run_step,
            call=call,
            tool=name,
            schema=schema_digest(tool.tool_def),
            args=dump_args(tool_args),
            declaration=declaration_for(recorder.task, name, function),
            returns=returns_of(function),
            approved=ctx.tool_call_approved,
            key=recorder.key_of(scope, ctx.run_step, call),
            attempt=Attempt(),
        )
