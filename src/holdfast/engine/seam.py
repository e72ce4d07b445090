"""The two capabilities that bracket the user's own, and what they share.

*Outer* is outermost: it replays and records what the model sees and what came of each call. *Inner* is innermost:
it commits the intent on exactly the arguments the tool receives, after every user hook. With both in one place a
hook that changes an amount would be decided on the old amount, and a hook that redacts a result would be lost on
replay.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pydantic_ai.agent import Agent
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry, ToolFailed
from pydantic_ai.messages import AgentStreamEvent, ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.output import OutputContext
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from holdfast.domain.errors import TalliesMoved
from holdfast.domain.state import WaitingOn
from holdfast.effects.declare import Effect, enter
from holdfast.engine.approvals import check_approved, decide_batch, shown_args
from holdfast.engine.asking import ask
from holdfast.engine.call import Attempt, CallNames, ToolCall
from holdfast.engine.codec import Unserialisable, dump_args, dump_json
from holdfast.engine.emitted import Emitted, hear
from holdfast.engine.entering import looked_at
from holdfast.engine.errors import ArgumentsChanged
from holdfast.engine.handlers import has_handlers, staying_out
from holdfast.engine.inspect import declaration_for, function_at, returns_of, schema_digest
from holdfast.engine.interrupt import Interrupt, Park
from holdfast.engine.looping import check_loop
from holdfast.engine.model import JournaledModel
from holdfast.engine.modelstep import ModelStep
from holdfast.engine.output import output_step
from holdfast.engine.permitting import permit
from holdfast.engine.questioning import answer_of, ask_question, is_answered, may_end_with_requests
from holdfast.engine.step import announce, tool_step
from holdfast.engine.verdicts import PolicyAsks

if TYPE_CHECKING:
    from pydantic_ai.agent import AbstractAgent

    from holdfast.engine.recorder import Recorder
    from holdfast.engine.subagents import SubAgents
    from holdfast.store.live import LiveRun


class Seam:
    """What the two capabilities of one agent run share."""

    def __init__(self, recorder: Recorder, subagents: SubAgents, turn: int, live: LiveRun | None) -> None:
        self.recorder = recorder
        self.subagents = subagents
        self.scope = f"t{turn}/" if turn else ""
        self.turn = turn
        self.alone = not has_own_capabilities(recorder.task.agent)
        """Nothing of the user's lies between what the framework hands over and what the tool or model receives."""
        self.model = ModelStep(recorder, self.scope, live)
        self.calls: dict[tuple[int, str], ToolCall] = {}
        """Calls under way, by step and call id."""
        self.outputs: dict[tuple[int, str], ToolCall] = {}
        """Answers under way, by step and the id of their call, if any."""
        self.deferred: set[tuple[int, str]] = set()
        """Calls whose tool left the result to somebody outside, by step and call id."""
        self._names = CallNames()

    @contextmanager
    def entered(self) -> Generator[None]:
        """Nothing of the agent's is replaced: the capabilities reach all of it."""
        yield

    def capabilities(self) -> list[AbstractCapability[Any]]:
        """The pair, or both in one where nothing lies between them, to be attached to one run of the agent."""
        streaming = self.recorder.task.stream
        if self.alone:
            return [StreamingBracket(self) if streaming else Bracket(self)]
        return [StreamingOuter(self) if streaming else Outer(self), Inner(self)]

    def model_of_run(self) -> Model | None:
        """The agent's own model, journaled, to be given to its run; None: `Inner` wraps whatever serves a request.

        To wrap a model anew for each request costs a twentieth of a bare run.
        """
        own = self.recorder.task.agent.model
        return JournaledModel(own, self.model) if self.alone and isinstance(own, Model) else None

    def call_of(self, ctx: RunContext[Any], call: ToolCallPart, tool: ToolDefinition, args: dict[str, Any]) -> ToolCall:
        """Recognise a call: its identity, its declaration, its arguments as the model gave them."""
        assert ctx.tool_manager is not None
        resolved = (ctx.tool_manager.tools or {}).get(call.tool_name)
        function = function_at(resolved)
        name = self._names.name(ctx.run_step, call.tool_call_id, approved=ctx.tool_call_approved)
        return ToolCall(
            scope=self.scope,
            step=ctx.run_step,
            call=name,
            tool=call.tool_name,
            schema=schema_digest(tool),
            args=args_bytes(args, lambda: call),
            given=args,
            declaration=declaration_for(self.recorder.task, call.tool_name, function),
            returns=returns_of(function),
            approved=ctx.tool_call_approved,
            key=self.recorder.key_of(self.scope, ctx.run_step, name),
            attempt=Attempt(),
            part=call,
        )


def args_bytes(args: dict[str, Any], call: Callable[[], ToolCallPart]) -> bytes:
    """The validated arguments as stored; as the model wrote them where a validator made something unstorable."""
    try:
        return dump_args(args)
    except Unserialisable:
        return dump_json(call().args_as_dict())


class Outer(AbstractCapability[Any]):
    """Replays and records: model responses, final outcomes of calls, processed outputs."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam

    def get_ordering(self) -> CapabilityOrdering:
        """Outside of every user capability."""
        return CapabilityOrdering(position="outermost", wraps=[AbstractCapability])

    async def wrap_model_request(
        self,
        ctx: RunContext[Any],
        *,
        request_context: ModelRequestContext,
        handler: Callable[[ModelRequestContext], Awaitable[ModelResponse]],
    ) -> ModelResponse:
        """The recorded response with the history the model saw, or a new one."""
        model = self._seam.model
        try:
            response = model.recorded(ctx.run_step, request_context.model_request_parameters, ctx.messages)
        except Interrupt as interrupt:
            self._seam.recorder.interrupted_by(interrupt)
            raise
        if response is None:
            for message in self._seam.recorder.take_messages():
                ctx.enqueue(message)
            return await model.answered(ctx.messages, lambda: handler(request_context))
        # A rejected response goes through the handler: the wrapper model gives it, Inner raises the rejection.
        return response if model.rejected is None else await handler(request_context)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: Callable[[dict[str, Any]], Awaitable[Any]],
    ) -> Any:
        """One call through the pipeline of `step.py`."""
        seam = self._seam
        found = seam.call_of(ctx, call, tool_def, args)
        if found.approved:
            check_approved(seam.recorder, found, call)
        outside = seam.subagents.enter(found, ctx)
        seam.calls[found.step, call.tool_call_id] = found
        try:
            return await tool_step(seam.recorder, found, lambda: handler(args), nested=outside)
        except ApprovalRequired as required:
            # The question reaches the inbox now, while siblings go on; the run parks when they are done. A
            # handler of the agent's own is asked before people are, and about all calls at once; not of policy.
            if isinstance(required, PolicyAsks) or not has_handlers(ctx, Outer | Inner):
                await ask(seam.recorder, replace(found, args=shown_args(call)), required)
            raise
        except CallDeferred as deferred:
            seam.deferred.add((found.step, call.tool_call_id))
            if may_end_with_requests(ctx) or (not found.approved and has_handlers(ctx, Outer | Inner)):
                raise
            answer = await self._from_outside(replace(found, args=shown_args(call)), deferred)
            if deferred.kind == "question" and ctx.root_capability is not None:
                return await ctx.root_capability.after_tool_execute(
                    ctx, call=call, tool_def=tool_def, args=args, result=answer
                )
            return answer
        finally:
            seam.subagents.leave(outside)
            del seam.calls[found.step, call.tool_call_id]

    async def _from_outside(self, call: ToolCall, deferred: CallDeferred) -> Any:
        """Put a call before whoever is to answer it. Returns the answer where people had approved the call.

        Raises:
            CallDeferred: they had not: the batch goes on with it. The framework takes no second deferral of a call.
            ToolFailed: nobody answers.
            Park: nobody has yet, and no sibling is under way any more.
        """
        recorder = self._seam.recorder
        try:
            entry = await ask_question(recorder, call, deferred.kind, deferred.metadata)
            if not call.approved:
                raise deferred
            if not is_answered(entry):
                await recorder.flight.wait_for_group((call.scope, call.step))
                raise Park(WaitingOn.QUESTION, f"'{call.tool}' asks for an answer")
        except Interrupt as interrupt:
            recorder.interrupted_by(interrupt)
            raise
        answer = answer_of(recorder, entry)
        if isinstance(answer, ToolFailed):
            raise answer
        return answer

    async def wrap_output_process(
        self,
        ctx: RunContext[Any],
        *,
        output_context: OutputContext,
        output: Any,
        handler: Callable[[Any], Awaitable[Any]],
    ) -> Any:
        """One answer through output functions and validators, once."""
        if ctx.partial_output:
            return await handler(output)
        return await output_step(self._seam, ctx, output_context, output, handler)

    # The framework's own durable capabilities are told of emitted events by the first of these two, and its
    # capabilities that speak for the application emit by leave of the second. Public hooks come too late for both.

    def _prepare_event_dispatch(self, ctx: RunContext[Any], event: AgentStreamEvent) -> None:
        place = (ctx.run_step, ctx.tool_call_id or "")
        call = self._seam.calls.get(place) or self._seam.outputs.get(place)
        if call is not None and isinstance(event, Emitted):
            hear(call, event)

    @property
    def _emits_app_events(self) -> bool:
        return True

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        """What the agent's handlers decide, then people, once every call is decided; until then the run parks."""
        if staying_out.get():
            return None
        try:
            return await decide_batch(self._seam, ctx, requests, handlers=has_handlers(ctx, Outer | Inner))
        except Interrupt as interrupt:
            self._seam.recorder.interrupted_by(interrupt)
            raise


class StreamingOuter(Outer):
    """Outer, which also lets watching clients see text while the model writes it."""

    async def wrap_run_event_stream(
        self, ctx: RunContext[Any], *, stream: AsyncIterable[AgentStreamEvent]
    ) -> AsyncIterable[AgentStreamEvent]:
        """Pass every event on; show the deltas of a request that is really under way."""
        async for event in stream:
            self._seam.model.show(event)
            yield event


class Inner(AbstractCapability[Any]):
    """Commits intents: of model requests by its wrapper model, of calls on the arguments the tool receives."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam

    def get_ordering(self) -> CapabilityOrdering:
        """Inside of every user capability."""
        return CapabilityOrdering(position="innermost", wrapped_by=[AbstractCapability])

    def get_wrapper_model(self, model: Model) -> Model | None:
        """Each attempt at a request goes through `JournaledModel`."""
        return None if isinstance(model, JournaledModel) else JournaledModel(model, self._seam.model)

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
        """No call passes with other arguments than its intent named."""
        return GuardedToolset(toolset, self._seam)

    async def after_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        """Raise a recorded rejection again."""
        if self._seam.model.rejected is not None:
            rejection, self._seam.model.rejected = self._seam.model.rejection, None
            raise ModelRetry(rejection)
        return response

    async def before_tool_execute(
        self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any]
    ) -> dict[str, Any]:
        """Commit the intent."""
        seam = self._seam
        found = seam.calls[ctx.run_step, call.tool_call_id]
        unchanged = seam.alone and args is found.given
        if seam.alone:  # else a capability may wrap the toolset, and do itself what it was asked to pass on
            seam.recorder.entering.announce(found)
        await perform_intent(seam.recorder, found, found.args if unchanged else args_bytes(args, lambda: call), args)
        return args


class Bracket(Outer, Inner):
    """Both in one. Each capability costs a twentieth of a bare run: every hook is called with a context of its own.

    Only for an agent without capabilities of its own. Should one slip in between all the same, the guarded toolset
    refuses the arguments that it changed: nothing passes on a decision about others.
    """


class StreamingBracket(StreamingOuter, Inner):
    """Both in one, streaming."""


def has_own_capabilities(agent: AbstractAgent[Any, Any]) -> bool:
    """Whether the agent has capabilities beyond those the framework gives to every agent. Yes, where in doubt."""
    if type(agent) is not Agent:
        return True
    return any(type(own) not in infrastructure() for own in agent.root_capability.capabilities)


@cache
def infrastructure() -> frozenset[type]:
    """The capabilities that the framework gives to every agent."""
    return frozenset(type(own) for own in Agent().root_capability.capabilities)


async def perform_intent(recorder: Recorder, call: ToolCall, args: bytes, values: Mapping[str, Any]) -> None:
    """Commit the intent of a call that may be made, and let the tool know its idempotency key.

    Raises:
        PolicyAsks, CallRefused: it may not, or not yet.
        Interrupt: the run may not go on here.
    """
    check_loop(recorder, call)
    while True:
        await permit(recorder, call, args, values)
        try:
            await announce(recorder, call, args, values)
            break
        except TalliesMoved:
            continue  # another call was counted between the look and the commit: decide anew
    enter(
        Effect(
            key=call.key,
            attempt=call.attempt.number,
            run=recorder.claimed.run,
            tenant=recorder.claimed.tenant,
            charges=call.attempt.charges,
        )
    )
    recorder.gear.probe("tool.entering")


@dataclass
class GuardedToolset(WrapperToolset[Any]):
    """Refuses a call whose arguments differ from its intent's, and one that has no intent."""

    seam: Seam

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Call the tool.

        Raises:
            ArgumentsChanged: something between the intent and this call changed the arguments, or bypassed the intent.
        """
        call = self.seam.calls.get((ctx.run_step, ctx.tool_call_id or ""))
        if call is None or call.attempt.args is None:
            raise ArgumentsChanged(
                f"'{name}' was called without a journaled intent: something called the toolset past the run's tool "
                "pipeline. Call tools through the run's tool manager."
            )
        if self._changed(call, tool_args):
            raise ArgumentsChanged(
                f"The arguments of '{name}' were changed after its intent was committed. Change arguments in a "
                "before_tool_execute hook, which runs before the intent, not in a toolset wrapper."
            )
        entering = self.seam.recorder.entering
        entering.enter(call, self.wrapped, tool)
        in_thread = partial(entering.enter_in_thread, call)
        result = await self.wrapped.call_tool(name, tool_args, ctx, looked_at(tool, in_thread))
        call.attempt.counted = True
        return result

    def _changed(self, call: ToolCall, tool_args: dict[str, Any]) -> bool:
        if self.seam.alone and tool_args is call.given and call.args is call.attempt.announced:
            return False
        try:
            return dump_args(tool_args) != call.attempt.announced
        except Unserialisable:
            return False
