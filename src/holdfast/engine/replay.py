"""What the journal says was done, found by the step that asks.

Nothing here runs user code. `Replay` is built once from the events; a step takes its entry out, so that what
is left when the run goes live, or ends, was never asked for: a divergence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.events import AnyEvent


@dataclass(slots=True)
class ModelEntry:
    """One model request step: every attempt, and the response if there is one."""

    requests: list[tuple[int, ev.ModelRequested]] = field(default_factory=list[tuple[int, ev.ModelRequested]])
    response: ev.ModelResponded | None = None
    failures: int = 0
    lists: list[ev.Messages] = field(default_factory=list[ev.Messages])
    """Message lists in journal order."""

    @property
    def attempts(self) -> int:
        """How often the request was sent."""
        return max((request.attempt for _, request in self.requests), default=0)

    @property
    def unanswered(self) -> int:
        """How often it was sent and nothing came back, as when a worker died meanwhile, and nobody has said so yet."""
        told = sum(request.unanswered for _, request in self.requests)
        return 0 if self.response is not None else max(0, len(self.requests) - self.failures - told)


@dataclass(slots=True)
class ToolEntry:
    """One tool call: its starts, its end, and what people said about it."""

    started: ev.ToolStarted | None = None
    finished: ev.ToolFinished | None = None
    in_doubt: ev.EffectInDoubt | None = None
    resolved: ev.EffectResolved | None = None
    attempts: int = 0
    intent: int = 0
    """Journal position of the last start."""
    announced_by: UUID | None = None
    """The worker that held the run then."""


@dataclass(slots=True)
class OutputEntry:
    """One processing of an answer by output functions and validators."""

    started: ev.OutputStarted | None = None
    processed: ev.OutputProcessed | None = None
    attempts: int = 0


@dataclass(slots=True)
class TroubleEntry:
    """A run that could not go on by itself, and what people said of it."""

    escalated: ev.Escalated
    decided: ev.EscalationDecided | None = None


@dataclass(slots=True)
class ApprovalEntry:
    """One question put to people about a tool call."""

    asked: ev.ApprovalAsked
    decided: ev.ApprovalDecided | None = None


@dataclass(slots=True)
class QuestionEntry:
    """What a call waited for from outside."""

    asked: ev.QuestionAsked
    answered: ev.QuestionAnswered | None = None


StepKey = tuple[str, int]
CallKey = tuple[str, int, str, bool]
"""Scope, step, call id, and whether it is the execution that a person approved."""


@dataclass
class Replay:
    """The journal of a run, by step."""

    models: dict[StepKey, ModelEntry] = field(default_factory=dict[StepKey, ModelEntry])
    tools: dict[CallKey, ToolEntry] = field(default_factory=dict[CallKey, ToolEntry])
    outputs: dict[CallKey, OutputEntry] = field(default_factory=dict[CallKey, OutputEntry])
    approvals: dict[CallKey, ApprovalEntry] = field(default_factory=dict[CallKey, ApprovalEntry])
    questions: dict[CallKey, QuestionEntry] = field(default_factory=dict[CallKey, QuestionEntry])
    """By the execution that asks: a call may have been approved before."""
    denied: dict[CallKey, ev.CallDenied] = field(default_factory=dict[CallKey, ev.CallDenied])
    looped: dict[CallKey, ev.LoopDetected] = field(default_factory=dict[CallKey, ev.LoopDetected])
    notes: dict[tuple[str, str], ev.Noted] = field(default_factory=dict[tuple[str, str], ev.Noted])
    messages: list[tuple[int, ev.MessageReceived]] = field(default_factory=list[tuple[int, ev.MessageReceived]])
    accepted: ev.RunAccepted | None = None
    history: ev.HistoryEntered | None = None
    cancel: ev.CancelRequested | None = None
    trouble: TroubleEntry | None = None
    """The last."""
    overruled: set[CallKey] = field(default_factory=set[CallKey])
    """Calls whose error would have failed the run, had people not said that it goes on: the model is told instead."""
    begun: int = 0
    """Model requests and tool calls, every attempt at one."""
    library: str = ""
    """The newest Pydantic AI that wrote to this journal."""
    _holder: UUID | None = None
    """Who held the run at this point of the journal."""
    _by_approval: dict[UUID, CallKey] = field(default_factory=dict[UUID, CallKey])
    _questions: dict[UUID, QuestionEntry] = field(default_factory=dict[UUID, QuestionEntry])
    _doubts: dict[UUID, ev.EffectInDoubt] = field(default_factory=dict[UUID, ev.EffectInDoubt])
    _by_key: dict[str, ToolEntry] = field(default_factory=dict[str, ToolEntry])
    _entries: dict[CallKey, ToolEntry] = field(default_factory=dict[CallKey, ToolEntry])
    """Every call, those that were asked for already included: people may still have something to say about them."""

    @classmethod
    def of(cls, events: Iterable[tuple[int, AnyEvent]]) -> Replay:
        """The replay of a journal, given as (sequence number, event)."""
        replay = cls()
        for seq, event in events:
            replay.add(seq, event)
        return replay

    @property
    def holds_work(self) -> bool:
        """Whether anything was begun, said or asked for before."""
        return bool(self.models or self.tools or self.outputs or self.approvals or self.notes or self.messages)

    @property
    def feature(self) -> str:
        """What the run is for, as the ledger tells runs apart: its label of that name."""
        return "" if self.accepted is None else self.accepted.labels.get("feature", "")

    def add(self, seq: int, event: AnyEvent) -> None:  # noqa: C901, PLR0912, PLR0915 - one arm for each kind of event
        """Take in the next event."""
        match event:
            case ev.RunAccepted():
                self.accepted = event
            case ev.HistoryEntered():
                self.history = event
            case ev.RunClaimed():
                self.library = max(self.library, event.pydantic_ai, key=_version)
                self._holder = event.worker
            case ev.ModelRequested():
                self.begun += 1
                entry = self.models.setdefault((event.scope, event.step), ModelEntry())
                entry.requests.append((seq, event))
                entry.lists.append(event.messages)
            case ev.ModelResponded():
                entry = self.models.setdefault((event.scope, event.step), ModelEntry())
                entry.response = event
                entry.lists.append(event.history)
            case ev.ModelFailed():
                self.models.setdefault((event.scope, event.step), ModelEntry()).failures += 1
            case ev.ToolStarted():
                self.begun += 1
                tool = self._tool(event.scope, event.step, event.call, approved=event.approved)
                tool.started, tool.attempts = event, event.attempt
                tool.in_doubt = tool.resolved = None
                tool.intent, tool.announced_by = seq, self._holder
                self._by_key[event.key] = tool
            case ev.ToolFinished():
                self._tool(event.scope, event.step, event.call, approved=event.approved).finished = event
            case ev.OutputStarted():
                output = self.outputs.setdefault((event.scope, event.step, event.call, False), OutputEntry())
                output.started, output.attempts = event, event.attempt
                effect = self._tool(event.scope, event.step, f"{event.call}/output", approved=False)
                effect.in_doubt = effect.resolved = None
                effect.intent, effect.announced_by = seq, self._holder
                self._by_key[event.key] = effect
            case ev.OutputProcessed():
                self.outputs.setdefault((event.scope, event.step, event.call, False), OutputEntry()).processed = event
            case ev.ApprovalAsked():
                key = (event.scope, event.step, event.call, False)
                self.approvals[key] = ApprovalEntry(event)
                self._by_approval[event.approval] = key
            case ev.ApprovalDecided():
                if (key := self._by_approval.get(event.approval)) is not None:
                    self.approvals[key].decided = event
            case ev.QuestionAsked():
                self.know_question(event)
                self.begun += isinstance(event, ev.CallHandedOut)
            case ev.QuestionAnswered():
                if (question := self._questions.get(event.approval)) is not None:
                    question.answered = event
            case ev.CallDenied():
                self.denied[event.scope, event.step, event.call, False] = event
            case ev.LoopDetected():
                self.looped[event.scope, event.step, event.call, False] = event
            case ev.Escalated():
                self.trouble = TroubleEntry(event)
            case ev.EscalationDecided():
                self._goes_on(event)
            case ev.EffectInDoubt():
                self._doubts[event.approval] = event
                tool = self._tool(event.scope, event.step, event.call, approved=event.approved)
                tool.in_doubt = event
                self._by_key[event.key] = tool
            case ev.EffectResolved():
                tool = self.tool_of_key(event.key)
                if tool is None or event.intent not in {None, tool.intent}:
                    return
                if tool.resolved is None or _outweighs(event, tool.resolved):
                    tool.resolved = event
            case ev.MessageReceived():
                self.messages.append((seq, event))
            case ev.CancelRequested():
                self.cancel = event
            case ev.Noted():
                self.notes[event.scope, event.key] = event
            case _:
                pass

    def _goes_on(self, decided: ev.EscalationDecided) -> None:
        if self.trouble is None or self.trouble.escalated.approval != decided.approval:
            return
        self.trouble.decided = decided
        if decided.way == "go_on":
            self.overruled |= {
                key
                for key, entry in self._entries.items()
                if entry.finished is not None and entry.finished.outcome == "error"
            }

    def _tool(self, scope: str, step: int, call: str, *, approved: bool) -> ToolEntry:
        key = (scope, step, call, approved)
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = self.tools[key] = ToolEntry()
        return found

    def tool_of_key(self, key: str) -> ToolEntry | None:
        """The tool call that an idempotency key names."""
        return self._by_key.get(key)

    def asked(self, approval: UUID) -> ev.ApprovalAsked | None:
        """The question that an approval answers."""
        key = self._by_approval.get(approval)
        return None if key is None else self.approvals[key].asked

    def know_question(self, asked: ev.QuestionAsked) -> None:
        """A call waits for its result from outside, or is about to: whoever gives it may be quicker than a commit."""
        entry = QuestionEntry(asked)
        self.questions[asked.scope, asked.step, asked.call, asked.approved] = entry
        self._questions[asked.approval] = entry

    def forget_question(self, asked: ev.QuestionAsked) -> None:
        """It was not put before anybody after all."""
        self.questions.pop((asked.scope, asked.step, asked.call, asked.approved), None)
        self._questions.pop(asked.approval, None)

    def question(self, task: UUID) -> QuestionEntry | None:
        """The question of a call that a human task is about."""
        return self._questions.get(task)

    def in_doubt(self, task: UUID) -> ev.EffectInDoubt | None:
        """The effect in doubt that a human task is about."""
        return self._doubts.get(task)

    @property
    def unanswered(self) -> list[str]:
        """The models of requests that nothing came back of, once for each."""
        entries = self.models.values()
        return [entry.requests[-1][1].model for entry in entries for _ in range(entry.unanswered)]

    def left_over(self, scope: str, before_step: int | None = None) -> list[str]:
        """Finished work of `scope` that nothing asked for, up to a step or in all: places, for people."""
        models = [
            f"model request {step}"
            for (where, step), entry in self.models.items()
            if where == scope and entry.response is not None and (before_step is None or step < before_step)
        ]
        tools = [
            f"call of '{entry.finished.tool}' ({call}) at step {step}"
            for (where, step, call, _), entry in self.tools.items()
            if where == scope and entry.finished is not None and (before_step is None or step < before_step)
        ]
        return models + tools

    def answered_after(self, scope: str, step: int) -> list[str]:
        """Answered model requests of `scope` after a step that is not recorded."""
        return [
            f"model request {later}"
            for (where, later), entry in self.models.items()
            if where == scope and later > step and entry.response is not None
        ]

    def left_within(self, scopes: str) -> list[str]:
        """Finished work that nothing asked for, of runs whose scope begins so; what lies inside their calls aside."""
        begun = {where for where, *_ in (*self.models, *self.tools) if where.startswith(scopes)}
        inner = {where for where in begun if ">" not in where[len(scopes) :]}
        return [f"{scope}: {place}" for scope in sorted(inner) for place in self.left_over(scope)]

    def heard_by(self, scope: str) -> int | None:
        """The last message that the recorded first request of `scope` carried; None: it is still to be answered."""
        first = self.models.get((scope, 1))
        return None if first is None or first.response is None else first.response.heard

    def messages_after(self, heard: int) -> list[tuple[int, ev.MessageReceived]]:
        """Messages that people sent, by journal position, after the last one that was heard."""
        return [(seq, message) for seq, message in self.messages if seq > heard]


def _outweighs(later: ev.EffectResolved, earlier: ev.EffectResolved) -> bool:
    """Whether what was said last of an effect replaces what was said before."""
    # That an effect happened cannot be unsaid: a person who answers "not done" a moment after the late report of the
    # worker that did it would have it done twice. That an attempt came to nothing, a person who said "not done" knew.
    return earlier.resolution != "done" and later.outcome in {None, "value"}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
