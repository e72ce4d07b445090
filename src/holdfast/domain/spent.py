"""What a run has done so far, counted from its journal: what limits are compared with.

Counted when it is announced, so that what is under way counts too. Steps and calls count once, however often a crash
had them begin; what an announced request might cost counts until it is known what it did cost, and for good where that
never becomes known. What things did cost is what the ledger says of their events.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.domain import events as ev
from holdfast.domain.ledger import lines_of
from holdfast.domain.limits import Ceilings, Reached, ceiling_of
from holdfast.domain.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Begun = ev.ModelRequested | ev.ToolStarted | ev.OutputStarted
"""What is done here."""

Intent = Begun | ev.CallHandedOut

_CALLS = (ev.ToolStarted, ev.CallHandedOut)


class Counted(NamedTuple):
    """How an intent was counted."""

    is_new: bool
    """Its step had not been counted before."""
    is_reserved: bool
    """What it may cost was added: nothing of its step was under way."""


@dataclass(slots=True)
class Spent:
    """Counts of one run."""

    counts: Counter[str] = field(default_factory=Counter[str])
    """By the names of ceilings."""
    _steps: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    _of_answer: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    _under_way: dict[tuple[Any, ...], Intent] = field(default_factory=dict[tuple[Any, ...], Intent])
    """What was announced and has no outcome yet, by its step."""

    @classmethod
    def of(cls, events: Iterable[ev.AnyEvent]) -> Spent:
        """What these events add up to."""
        found = cls()
        for event in events:
            found.add(event)
        return found

    def add(self, event: ev.AnyEvent) -> None:
        """Take in a fact."""
        match event:
            case ev.ModelRequested() | ev.ToolStarted() | ev.OutputStarted() | ev.CallHandedOut():
                self.begin(event)
            case ev.ModelResponded():
                self._answered(event, event.usage, event.cost is None or _is_known(event.cost))
            case ev.ModelFailed():
                # Where a provider saw it, did not refuse it, and says nothing of it, nobody knows what was used.
                unseen = event.cost is None and all(one.cost is None or one.usage for one in event.failed)
                known = event.usage is not None or event.status is not None or unseen
                self._answered(event, event.usage, known or _is_known(event.cost), used_is_known=known)
            case ev.ToolFinished():
                self._finished(event)
            case ev.OutputProcessed():
                self._settle((event.scope, event.step, event.call, "output"))
            case _:
                pass
        for line in lines_of(event):
            self.counts["cost_usd"] += line.amounts.cost_usd_micros

    def begin(self, intent: Intent) -> Counted:
        """Take in an intent."""
        step = _step_of(intent)
        counted = Counted(step not in self._steps, self._reserves(intent))
        if counted.is_reserved:
            self._reserve(intent, 1)
        self._under_way[step] = intent
        if counted.is_new:
            self._steps.add(step)
            self._count(intent, 1)
        return counted

    def take_back(self, intent: Intent, counted: Counted) -> None:
        """Undo `begin`: nothing was announced after all."""
        step = _step_of(intent)
        if counted.is_reserved:
            self._reserve(intent, -1)
            self._under_way.pop(step, None)
        if counted.is_new:
            self._steps.discard(step)
            self._count(intent, -1)

    def reached(self, intent: Intent, ceilings: Ceilings, times: Mapping[str, int]) -> Reached | None:
        """The first ceiling that a step would exceed if it began now. `times` are `wall_clock` and `deadline`, in s."""
        for name, stood, adds in (*self._demands(intent), *((name, s, 1) for name, s in times.items())):
            most = ceiling_of(ceilings, name)
            if most is not None and stood + adds > most:
                return Reached(name, most, stood, adds, _in_words(intent))
        return None

    def _demands(self, intent: Intent) -> Iterator[tuple[str, int, int]]:
        if _step_of(intent) not in self._steps:
            for name, adds in _adds(intent):
                yield name, self.counts[name], adds
            if isinstance(intent, _CALLS):
                yield "fan_out", self._of_answer[intent.scope, intent.step], 1
            yield "depth", intent.scope.count(">"), 0
        if self._reserves(intent):
            for name, adds in _may_cost(intent):
                yield name, self.counts[name], adds

    def _reserves(self, intent: Intent) -> bool:
        # A request that is sent again may be paid twice; a call that is entered again is the same call.
        return isinstance(intent, ev.ModelRequested) or _step_of(intent) not in self._under_way

    def _reserve(self, intent: Intent, sign: int) -> None:
        for name, adds in _may_cost(intent):
            self.counts[name] += sign * adds

    def _count(self, intent: Intent, sign: int) -> None:
        for name, adds in _adds(intent):
            self.counts[name] += sign * adds
        if isinstance(intent, _CALLS):
            self._of_answer[intent.scope, intent.step] += sign

    def _settle(self, step: tuple[Any, ...]) -> Intent | None:
        """What was under way, no longer counted with what it might have cost."""
        intent = self._under_way.pop(step, None)
        if intent is not None:
            self._reserve(intent, -1)
        return intent

    def _answered(
        self,
        event: ev.ModelResponded | ev.ModelFailed,
        usage: ev.Usage | None,
        cost_is_known: bool,
        *,
        used_is_known: bool = True,
    ) -> None:
        asked = self._under_way.get((event.scope, event.step))
        if isinstance(asked, ev.ModelRequested) and asked.attempt == event.attempt:
            del self._under_way[event.scope, event.step]
            for name, adds in _may_cost(asked):
                if cost_is_known if name == "cost_usd" else used_is_known:
                    self.counts[name] -= adds
        for used in (usage, *(attempt.usage for attempt in event.failed)):
            if used is not None:
                self._used(used)

    def _used(self, usage: ev.Usage) -> None:
        # Of models asked past the journal it is what providers say, who may say less than nothing.
        sent, answered = max(0, usage.input_tokens), max(0, usage.output_tokens)
        self.counts["input_tokens"] += sent
        self.counts["output_tokens"] += answered
        self.counts["tokens"] += sent + answered

    def _finished(self, finished: ev.ToolFinished) -> None:
        started = self._settle((finished.scope, finished.step, finished.call))
        is_delegate = isinstance(started, ev.ToolStarted) and started.recovery is Recovery.DELEGATE
        if finished.usage is not None and not is_delegate:  # the runs inside a delegate are counted by their own steps
            self._used(finished.usage)
            self.counts["model_requests"] += finished.usage.requests
            self.counts["steps"] += finished.usage.requests
        if finished.outcome == "retry" and isinstance(started, ev.ToolStarted):
            # It did not do what it was to do: as sums for policies are.
            for name, units in started.amounts.items():
                self.counts[f"amount:{name}"] -= units


def _is_known(cost: ev.Cost | None) -> bool:
    return cost is not None and cost.usd_micros is not None


def _step_of(intent: Intent) -> tuple[Any, ...]:
    match intent:
        case ev.ModelRequested():
            return intent.scope, intent.step
        case ev.ToolStarted() | ev.CallHandedOut():
            return intent.scope, intent.step, intent.call
        case ev.OutputStarted():
            return intent.scope, intent.step, intent.call, "output"


def _adds(intent: Intent) -> Iterator[tuple[str, int]]:
    """What a step adds, once."""
    match intent:
        case ev.ModelRequested():
            yield "steps", 1
            yield "model_requests", 1
        case ev.ToolStarted() | ev.CallHandedOut():
            yield "steps", 1
            yield "tool_calls", 1
            yield f"calls:{intent.tool}", 1
            if intent.recovery.is_effect:
                yield "side_effects", 1
                yield f"writes:{intent.system or intent.tool}", 1
            for name, units in intent.amounts.items():
                yield f"amount:{name}", units
        case ev.OutputStarted():
            if intent.recovery.is_effect:
                yield "side_effects", 1
                yield f"writes:{intent.name}", 1


def _may_cost(intent: Intent) -> Iterator[tuple[str, int]]:
    """What counts until it is known what it was."""
    if isinstance(intent, ev.CallHandedOut):
        return  # what it costs is known to whoever does it
    yield "cost_usd", intent.bound_usd_micros
    if isinstance(intent, ev.ModelRequested) and (bound := intent.bound) is not None:
        yield "input_tokens", bound.input_tokens
        yield "output_tokens", bound.output_tokens
        yield "tokens", bound.input_tokens + bound.output_tokens


def _in_words(intent: Intent) -> str:
    match intent:
        case ev.ModelRequested():
            return f"a request to '{intent.model}'"
        case ev.ToolStarted() | ev.CallHandedOut():
            return f"a call of '{intent.tool}'"
        case ev.OutputStarted():
            return f"a call of '{intent.name}'"
