"""A journal told as a list of steps: what happened, how long it took, what it cost, what it waited for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.domain import events as ev
from holdfast.domain.ledger import known_micros
from holdfast.domain.limits import describe, display
from holdfast.domain.loops import in_words
from holdfast.domain.money import usd
from holdfast.domain.state import WaitingOn
from holdfast.service.contents import Plain, shown_field
from holdfast.service.event_view import ReadEvent
from holdfast.service.views import StepKind, StepView

_WAITS = {
    WaitingOn.APPROVAL: "waited for an approval",
    WaitingOn.QUESTION: "waited for an answer",
    WaitingOn.IN_DOUBT: "waited for a person to say what became of an effect",
    WaitingOn.LIMIT: "waited for a limit to be raised",
    WaitingOn.BUDGET: "waited for a budget to have room",
    WaitingOn.ESCALATION: "waited for a person to say what becomes of it",
    WaitingOn.TIMER: "waited for its time",
    WaitingOn.SIGNAL: "waited for a signal",
    WaitingOn.CODE: "waited for code that can go on with it",
    WaitingOn.QUARANTINE: "was put in quarantine: it was taken up again and again without getting anywhere",
    WaitingOn.HALT: "was halted",
    WaitingOn.RIGHTS: "waited for its principal to have the rights it needs",
    WaitingOn.LOGIN: "waited for its principal to sign in again",
}
_END_TITLES = {
    "run_succeeded": ("the run succeeded", "succeeded"),
    "run_failed": ("the run failed", "failed"),
    "run_cancelled": ("the run was cancelled", "cancelled"),
}


def _fell_back(failed: list[ev.FailedAttempt], answered: str = "") -> str:
    """Which models were tried in vain, and which answered in their place."""
    if not failed:
        return ""
    tried = [f"{one.model} {f'failed ({one.error})' if one.outcome == 'error' else 'was rejected'}" for one in failed]
    return ", ".join([*tried, f"{answered} answered"] if answered else tried)


@dataclass(slots=True)
class _Step:
    seq: int
    kind: StepKind
    title: str
    at: datetime
    scope: str = ""
    step: int | None = None
    outcome: str = ""
    ended_at: datetime | None = None
    duration_ms: int | None = None
    attempts: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    costs: list[ev.Cost] = field(default_factory=list[ev.Cost])
    why: str = ""
    refs: dict[str, str] = field(default_factory=dict[str, str])

    def end(self, at: datetime, outcome: str, duration_ms: int | None = None) -> None:
        """It is over; by the journal's times unless its duration was measured."""
        between = round((at - self.at).total_seconds() * 1000)
        self.ended_at, self.outcome = at, outcome
        self.duration_ms = between if duration_ms is None else duration_ms

    def view(self, plain: Plain) -> StepView:
        """The step with its content."""
        return StepView(
            seq=self.seq,
            kind=self.kind,
            scope=self.scope,
            step=self.step,
            title=self.title,
            outcome=self.outcome,
            at=self.at,
            ended_at=self.ended_at,
            duration_ms=self.duration_ms,
            attempts=self.attempts,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=None if (micros := known_micros(self.costs)) is None else usd(micros),
            unpriced=list(dict.fromkeys(what for cost in self.costs for what in cost.unpriced)),
            priced_by="; ".join(dict.fromkeys(cost.source for cost in self.costs if cost.source)),
            why=self.why,
            content={name: shown_field(name, ref, plain) for name, ref in self.refs.items()},
        )


def actors_of(events: Iterable[ReadEvent]) -> set[str]:
    """Everybody whom these events name."""
    found: set[str] = set()
    for read in events:
        match read.event:
            case ev.RunAccepted(principal=actor, requested_by=other):
                found |= {actor, other or actor}
            case ev.MessageReceived(by=actor) | ev.CancelRequested(by=actor) | ev.RunCancelled(by=actor):
                found.add(actor or "")
            case ev.ApprovalDecided(by=actor) | ev.EffectResolved(by=actor) | ev.EscalationDecided(by=actor):
                found.add(actor)
            case ev.QuestionAnswered(by=actor):
                found.add(actor)
            case _:
                pass
    return found - {""}


class Story:
    """The steps of a run, from its events in order.

    Args:
        events: the journal.
        names: what people call the actors in it, by what events call them.
    """

    def __init__(self, events: Iterable[ReadEvent], names: Mapping[str, str]) -> None:
        self._names = names
        self._steps: list[_Step] = []
        self._open: dict[object, _Step] = {}
        self._parked: _Step | None = None
        self._worker: object = None
        for read in events:
            self._add(read)

    def _name(self, actor: str) -> str:
        return self._names.get(actor, actor)

    @property
    def refs(self) -> list[str]:
        """The content that the steps show."""
        return [ref for step in self._steps for ref in step.refs.values()]

    def views(self, plain: Plain) -> list[StepView]:
        """The steps with their content."""
        return [step.view(plain) for step in self._steps]

    def _add(self, read: ReadEvent) -> None:  # noqa: C901, PLR0912 - one arm for each kind of event
        event, at = read.event, read.stored.at
        if self._parked is not None:
            self._parked.end(at, "over")
            self._parked = None
        match event:
            case ev.RunAccepted():
                by = self._name(event.requested_by or event.principal)
                whom = f", for {self._name(event.principal)}" if event.requested_by else ""
                self._begin(read, "accepted", f"asked for by {by}{whom}").end(at, "accepted")
            case ev.RunClaimed():
                self._claimed(read, event)
            case ev.RunParked():
                self._parked = self._begin(read, "wait", _WAITS[event.waiting_on])
                self._parked.why = event.why
            case ev.MessageReceived():
                self._begin(read, "message", f"message from {self._name(event.by)}").end(at, "received")
            case ev.CancelRequested():
                self._begin(read, "message", f"{self._name(event.by)} asked to stop").end(at, "received")
            case ev.RunDiverged():
                step = self._begin(read, "change", "the code does not do what the journal says")
                step.why = f"at {event.place}"
                step.end(at, "diverged")
            case ev.RunSucceeded() | ev.RunFailed() | ev.RunCancelled():
                self._ended(read, event)
            case ev.ModelRequested() | ev.ModelResponded() | ev.ModelFailed():
                self._model(read, event)
            case ev.ToolStarted() | ev.ToolFinished() | ev.OutputStarted() | ev.OutputProcessed():
                self._call(read, event)
            case ev.ApprovalAsked() | ev.ApprovalDecided() | ev.EffectInDoubt() | ev.EffectResolved():
                self._decision(read, event)
            case ev.Escalated() | ev.EscalationDecided():
                self._trouble(read, event)
            case ev.QuestionAsked() | ev.QuestionAnswered():
                self._question(read, event)
            case ev.CallDenied():
                self._begin(read, "denied", f"refused to call {event.tool}").end(at, "denied")
            case ev.LoopDetected():
                self._looped(read, event)
            case ev.HistoryEntered():
                self._entered(read, event)
            case ev.Noted() | None:
                pass

    def _begin(self, read: ReadEvent, kind: StepKind, title: str, key: object = None) -> _Step:
        data = read.data
        step = _Step(read.seq, kind, title, read.stored.at, data.get("scope", ""), data.get("step"))
        step.refs.update(read.refs)
        self._steps.append(step)
        if key is not None:
            self._open[key] = step
        return step

    def _resume(self, read: ReadEvent, kind: StepKind, title: str, key: object) -> _Step:
        """The step under way that this event belongs to, or a new one where its beginning is not journaled."""
        step = self._open.get(key) or self._begin(read, kind, title, key)
        step.refs.update(read.refs)
        return step

    def _claimed(self, read: ReadEvent, event: ev.RunClaimed) -> None:
        if self._worker not in {None, event.worker}:
            self._begin(read, "change", "another worker carried on").end(read.stored.at, "carried on")
        self._worker = event.worker

    def _entered(self, read: ReadEvent, event: ev.HistoryEntered) -> None:
        if event.count:
            step = self._begin(read, "change", "began without messages of its session that were invalidated")
            step.why = f"{event.count} of them"
            step.end(read.stored.at, "withheld")

    def _ended(self, read: ReadEvent, event: ev.RunSucceeded | ev.RunFailed | ev.RunCancelled) -> None:
        title, outcome = _END_TITLES[event.type]
        step = self._begin(read, "end", title)
        step.end(read.stored.at, outcome)
        if isinstance(event, ev.RunFailed):
            step.why = f"{event.error} at {event.place}" if event.place else event.error
        elif isinstance(event, ev.RunCancelled) and event.by:
            step.why = f"asked for by {self._name(event.by)}"

    def _model(self, read: ReadEvent, event: ev.ModelRequested | ev.ModelResponded | ev.ModelFailed) -> None:
        key, at = ("model", event.scope, event.step), read.stored.at
        if isinstance(event, ev.ModelRequested):
            step = self._open.get(key)
            if step is None:
                other = f" instead of {event.instead_of}" if event.instead_of else ""
                self._begin(read, "model", f"asked {event.model}{other}", key).why = event.switched
            else:
                step.attempts += 1
            return
        step = self._resume(read, "model", f"asked {getattr(event, 'model', 'the model')}", key)
        step.costs += [one.cost for one in (*event.failed, event) if one.cost is not None]
        if isinstance(event, ev.ModelResponded):
            step.end(at, "rejected" if event.retry else "answered", event.latency_ms)
            step.why = _fell_back(event.failed, event.model) or step.why
            step.input_tokens, step.output_tokens = event.usage.input_tokens, event.usage.output_tokens
            del self._open[key]
        else:
            step.end(at, "will be tried again" if event.will_retry else "failed", event.latency_ms)
            step.why = _fell_back(event.failed) or event.error

    def _call(
        self, read: ReadEvent, event: ev.ToolStarted | ev.ToolFinished | ev.OutputStarted | ev.OutputProcessed
    ) -> None:
        key, at = ("call", event.scope, event.step, event.call), read.stored.at
        match event:
            case ev.ToolStarted():
                self._resume(read, "tool", f"called {event.tool}", key).attempts = event.attempt
            case ev.OutputStarted():
                self._resume(read, "output", f"called {event.name} with the answer", key).attempts = event.attempt
            case ev.ToolFinished():
                step = self._resume(read, "tool", f"called {event.tool}", key)
                step.end(at, event.outcome, event.latency_ms)
                step.costs += [] if event.cost is None else [event.cost]
                step.why = f"{event.resolved_by} said how it ended" if event.resolved_by else step.why
            case ev.OutputProcessed():
                step = self._resume(read, "output", "checked the answer", key)
                step.end(at, event.outcome)
                step.costs += [] if event.cost is None else [event.cost]

    def _decision(
        self,
        read: ReadEvent,
        event: ev.ApprovalAsked | ev.ApprovalDecided | ev.EffectInDoubt | ev.EffectResolved,
    ) -> None:
        at = read.stored.at
        match event:
            case ev.ApprovalAsked():
                self._begin(read, "approval", f"asked whether to call {event.tool}", event.approval)
            case ev.ApprovalDecided():
                self._resume(read, "approval", "asked a person", event.approval).end(at, event.verdict)
                self._open[event.approval].why = f"by {self._name(event.by)}"
            case ev.EffectInDoubt():
                step = self._begin(read, "in_doubt", f"not known whether {event.tool} did it", event.key)
                step.why = event.why
            case ev.EffectResolved():
                step = self._resume(read, "in_doubt", "not known whether it was done", event.key)
                step.end(at, event.resolution)
                step.why = f"{step.why} Resolved by {self._name(event.by)}.".strip()

    def _question(self, read: ReadEvent, event: ev.QuestionAsked | ev.QuestionAnswered) -> None:
        if isinstance(event, ev.QuestionAsked):
            asked = f"{event.tool} asked a question" if event.kind == "question" else f"{event.tool} is done outside"
            step = self._begin(read, "question", asked, event.approval)
            step.why = f"asks {event.ask or 'whoever may decide'}"
            return
        step = self._resume(read, "question", "asked a question", event.approval)
        step.end(read.stored.at, "expired" if event.on_expiry else event.verdict)
        step.why = f"by {self._name(event.by)}"

    def _looped(self, read: ReadEvent, event: ev.LoopDetected) -> None:
        step = self._begin(read, "loop", f"was told of a loop: did not call {event.tool}")
        step.why = in_words(event.kind, event.times) + (f": {', '.join(event.round)}" if event.round else "")
        step.end(read.stored.at, "told")

    def _trouble(self, read: ReadEvent, event: ev.Escalated | ev.EscalationDecided) -> None:
        if isinstance(event, ev.Escalated):
            step = self._begin(read, "escalation", _trouble(event), event.approval)
            step.why = f"asks {event.ask or 'whoever may decide'}"
            return
        step = self._resume(read, "escalation", "asked people what becomes of it", event.approval)
        step.end(read.stored.at, _WAYS[event.way])
        raised = ", ".join(f"{describe(name)} to {display(name, most)}" for name, most in event.limits.items())
        step.why = f"by {self._name(event.by)}" + (f"; raised {raised}" if raised else "")


def _trouble(event: ev.Escalated) -> str:
    if event.loop is not None:
        return f"went on with a loop: {in_words(event.loop, event.stood)}"
    if not event.limit:
        return f"would fail: {event.error}"
    whose = "its tenant's" if event.of_tenant else "its"
    return f"reached {whose} limit on {describe(event.limit)}"


_WAYS = {"go_on": "goes on", "finish": "ended with an output of theirs", "fail_run": "failed"}
