"""The tools of a sub-agent: each call goes through the pipeline; approvals and questions reach the run's own inbox."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, SkipToolExecution, ToolFailed
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets import ToolsetTool, WrapperToolset

from holdfast.domain import events as ev
from holdfast.domain.errors import UserError
from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn
from holdfast.domain.verdict import Decision
from holdfast.effects.declare import Declaration
from holdfast.engine.approvals import shown_args
from holdfast.engine.asking import agreed_args, answered, ask, check_bound, refused, rejection_of
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import dump_args, parse
from holdfast.engine.emitted import HeardContext
from holdfast.engine.entering import looked_at
from holdfast.engine.errors import CallRefused
from holdfast.engine.external import hand_out
from holdfast.engine.handlers import has_handlers
from holdfast.engine.inspect import declaration_for, function_at, returns_of, schema_digest
from holdfast.engine.interrupt import Park
from holdfast.engine.outside import Outside, surrounding
from holdfast.engine.questioning import answer_of, ask_question, is_answered, may_end_with_requests
from holdfast.engine.step import tool_step
from holdfast.engine.verdicts import denied, refusal_of, verdict_on

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.replay import QuestionEntry
    from holdfast.engine.subagents import SubAgents


@dataclass
class SubToolset(WrapperToolset[Any]):
    """A sub-agent's tools: each call is journaled and replayed; what people have to say reaches the run's own inbox."""

    subagents: SubAgents
    agent: str
    gated: set[str] = field(default_factory=set[str])
    external: set[str] = field(default_factory=set[str])

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """The tools; those that wait for people or for work outside do it here, where the run can park."""
        tools = await super().get_tools(ctx)
        outside = surrounding.get()
        if outside is None:
            return tools
        outside.contexts[ctx.run_id] = ctx
        if outside.context.run_id != ctx.run_id and self.subagents.current() is not None:
            self.subagents.recorder.inner.of(ctx.usage).prepares(ctx.run_id, ctx.messages)
        for name, tool in tools.items():
            if tool.tool_def.kind == "unapproved":
                self.gated.add(name)
                tools[name] = replace(tool, tool_def=replace(tool.tool_def, kind="function"))
            elif tool.tool_def.kind == "external" and self._asks_people(ctx) and self.subagents.current() is not None:
                self.external.add(name)
                tools[name] = replace(tool, tool_def=replace(tool.tool_def, kind="function"))
        return tools

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """One inner call through the pipeline of `step.py`."""
        around = surrounding.get()
        if around is not None and around.context.run_id == ctx.run_id:
            # An agent that is its own sub-agent: this is the outer run's own call, which is journaled already.
            return await super().call_tool(name, tool_args, ctx, tool)
        outside = self.subagents.current()
        if outside is None:
            return await self._unjournaled(name, tool_args, ctx, tool)
        recorder = self.subagents.recorder
        if name in self.gated:
            tool_args, ctx = await self._approved(outside, name, tool_args, ctx, tool, ApprovalRequired())
        call = self._call(outside.scope_of(self.agent, ctx.run_id), name, tool_args, ctx, tool)
        try:
            if name in self.external:
                return await self._done_outside(call, tool_args)
            return await self._through(recorder, call, name, tool_args, ctx, tool)
        except ApprovalRequired as required:
            tool_args, ctx = await self._approved(outside, name, tool_args, ctx, tool, required)
            call = self._call(outside.scope_of(self.agent, ctx.run_id), name, tool_args, ctx, tool)
            return await self._through(recorder, call, name, tool_args, ctx, tool)
        finally:
            if ctx.usage is outside.usage:
                outside.count(ev.Usage(tool_calls=1))

    async def _unjournaled(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """A call inside a tool that is not `delegate`: part of that tool's single step, in which nobody can wait."""
        try:
            if name in self.gated and not ctx.tool_call_approved:
                raise ApprovalRequired
            await self._decide(name, tool_args, ctx, tool)
            return await super().call_tool(name, tool_args, ctx, tool)
        except (ApprovalRequired, CallDeferred) as waits:
            if isinstance(waits, CallDeferred) and not self._asks_people(ctx):
                raise
            outside = surrounding.get()
            if outside is None:
                raise
            what, outer = "approval" if isinstance(waits, ApprovalRequired) else "an answer", outside.call.tool
            raise UserError(
                f"'{name}' of sub-agent '{self.agent}' asks for {what} inside '{outer}', which is one step and cannot "
                f"wait. Declare '{outer}' @effect.delegate, and let it only run agents."
            ) from None

    async def _decide(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> None:
        outside, recorder = surrounding.get(), self.subagents.recorder
        if recorder.gear.governor.policy is None:
            return
        call = self._call("" if outside is None else f"{outside.call.inner}{self.agent}/", name, tool_args, ctx, tool)
        verdict = await verdict_on(recorder, call, call.args, tool_args)
        assert verdict is not None
        if verdict.decision is Decision.DENY:
            recorder.hold(denied(recorder, call, verdict, call.args))
            raise CallRefused(refusal_of(verdict.reason))
        if verdict.decision is Decision.ASK:
            raise ApprovalRequired

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
            recorder.entering.announce(call)
            await perform_intent(recorder, call, dump_args(tool_args), tool_args)
            recorder.entering.enter(call, self.wrapped, tool)
            in_thread = partial(recorder.entering.enter_in_thread, call)
            return await super(SubToolset, self).call_tool(name, tool_args, ctx, looked_at(tool, in_thread))

        nested = self.subagents.enter(call, ctx)
        try:
            return await tool_step(recorder, call, perform, nested=nested)
        except SkipToolExecution as replayed:
            return replayed.result
        except CallDeferred as deferred:
            if not self._asks_people(ctx):
                raise
            return await self._answer(_shown(call, tool_args), deferred.kind, deferred.metadata)
        finally:
            self.subagents.leave(nested)

    def _asks_people(self, ctx: RunContext[Any]) -> bool:
        """Whether nobody else answers a call that waits for its result: no handler of the agent's, nor its caller."""
        from holdfast.engine.seam import Inner, Outer

        return not may_end_with_requests(ctx) and not has_handlers(ctx, Outer | Inner)

    async def _done_outside(self, call: ToolCall, tool_args: dict[str, Any]) -> Any:
        """The result of a call that is never made here."""
        told = replace(_shown(call, tool_args), declaration=Declaration(Recovery.ONCE))
        entry = await hand_out(self.subagents.recorder, told, "external")
        if entry is None:
            await self._park(call, WaitingOn.APPROVAL, "approval")
        if isinstance(entry, ToolFailed):
            raise entry
        return await self._answer_of(call, entry)

    async def _answer(self, call: ToolCall, kind: ev.QuestionKind, metadata: Any = None) -> Any:
        """What was answered to a call.

        Raises:
            ToolFailed: nobody answers.
            Park: nobody has yet.
        """
        return await self._answer_of(call, await ask_question(self.subagents.recorder, call, kind, metadata))

    async def _answer_of(self, call: ToolCall, entry: QuestionEntry) -> Any:
        if not is_answered(entry):
            await self._park(call, WaitingOn.QUESTION, "an answer")
        answer = answer_of(self.subagents.recorder, entry)
        if isinstance(answer, ToolFailed):
            raise answer
        return answer

    async def _park(self, call: ToolCall, on: WaitingOn, what: str) -> NoReturn:
        await self.subagents.recorder.flight.wait_for_family(call.scope)
        raise Park(on, f"'{call.tool}' of sub-agent '{self.agent}' asks for {what}")

    async def _approved(
        self,
        outside: Outside,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],
        required: ApprovalRequired,
    ) -> tuple[dict[str, Any], RunContext[Any]]:
        recorder = self.subagents.recorder
        asked = _shown(self._call(outside.scope_of(self.agent, ctx.run_id), name, tool_args, ctx, tool), tool_args)
        if (why := await refused(recorder, asked)) is not None:
            raise CallRefused(why)
        entry = await ask(recorder, asked, required)
        if not answered(entry):
            await self._park(asked, WaitingOn.APPROVAL, "approval")
        if (why := rejection_of(recorder, entry)) is not None:
            raise ToolFailed(why)
        check_bound(recorder, asked, entry)
        if (agreed := agreed_args(entry)) != recorder.seal(asked.args):
            tool_args = tool.args_validator.validate_python(parse(recorder.content(agreed)))
        return tool_args, replace(ctx, tool_call_approved=True)

    def _call(
        self,
        scope: str,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],
    ) -> ToolCall:
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


def _shown(call: ToolCall, tool_args: dict[str, Any]) -> ToolCall:
    """The call as people are shown it."""
    part = ToolCallPart(call.tool, tool_args, tool_call_id=call.call)
    return replace(call, args=shown_args(part), attempt=Attempt())
