"""What a run has done so far, counted from its journal: what limits are compared with.

Counted when it is announced, so that what is under way counts too. Steps and calls count once, however often a crash
had them begin; what an announced request might cost counts until it is known what it did cost, and for good where that
never becomes known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.domain import events as ev
from holdfast.domain.limits import Ceilings, Reached
from holdfast.domain.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Intent = ev.ModelRequested | ev.ToolStarted | ev.OutputStarted


@dataclass(slots=True)
class Spent:
    """Counts of one run."""

    counts: Counter[str] = field(default_factory=Counter[str])
    """By the names of ceilings: what only grows."""
    _steps: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    _of_answer: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    _open: dict[tuple[str, int], ev.ModelRequested] = field(default_factory=dict[tuple[str, int], ev.ModelRequested])
    """Requests whose answer is not known, by scope and step."""
    _delegates: set[tuple[str, int, str]] = field(default_factory=set[tuple[str, int, str]])
    """Calls whose inner runs are counted by their own steps."""
    _declared: dict[tuple[str, int, str], int] = field(default_factory=dict[tuple[str, int, str], int])
    """What calls under way say that they cost."""
    _amounts: dict[tuple[str, int, str], dict[str, int]] = field(
        default_factory=dict[tuple[str, int, str], dict[str, int]]
    )

    @property
    def steps(self) -> int:
        """Model requests and tool calls begun."""
        return self.counts["steps"]

    def add(self, event: ev.AnyEvent) -> None:
        """Take in a fact."""
        match event:
            case ev.ModelRequested() | ev.ToolStarted() | ev.OutputStarted():
                self.begin(event)
            case ev.ModelResponded():
                self._answered(event.scope, event.step, event.attempt, event.usage, event.cost)
            case ev.ModelFailed():
                self._failed(event)
            case ev.ToolFinished():
                self._finished(event)
            case _:
                pass

    def begin(self, intent: Intent) -> bool:
        """Take in an intent; whether it is one that was not counted before."""
        new = _step_of(intent) not in self._steps
        if isinstance(intent, ev.ModelRequested):
            self._open[intent.scope, intent.step] = intent
            self._tokens(_bound(intent), 1)
            self.counts["cost_usd"] += intent.bound_usd_micros
        if new:
            self._steps.add(_step_of(intent))
            self._count(intent, 1)
        return new

    def take_back(self, intent: Intent, *, new: bool) -> None:
        """Undo `begin`: nothing was announced after all."""
        if isinstance(intent, ev.ModelRequested):
            self._open.pop((intent.scope, intent.step), None)
            self._tokens(_bound(intent), -1)
            self.counts["cost_usd"] -= intent.bound_usd_micros
        if new:
            self._steps.discard(_step_of(intent))
            self._count(intent, -1)

    def reached(self, intent: Intent, ceilings: Ceilings, times: Mapping[str, int]) -> Reached | None:
        """The first ceiling that a step would exceed if it began now. `times` are `wall_clock` and `deadline`, in s."""
        for name, stood, adds in (*self._demands(intent), *((name, s, 1) for name, s in times.items())):
            most = ceilings.get(name)
            if most is None and name.startswith("writes:"):
                most = ceilings.get("writes:")
                name = name if most is None else "writes:"  # noqa: PLW2901 - what is said is said of all others
            if most is not None and stood + adds > most:
                return Reached(name, most, stood, adds, _in_words(intent))
        return None

    def _demands(self, intent: Intent) -> Iterator[tuple[str, int, int]]:
        counts = self.counts
        if _step_of(intent) not in self._steps:
            for name, adds in _adds(intent):
                yield name, counts[name], adds
            if isinstance(intent, ev.ToolStarted):
                yield "fan_out", self._of_answer[intent.scope, intent.step], 1
            yield "depth", intent.scope.count(">"), 0
        if isinstance(intent, ev.ModelRequested):
            bound = _bound(intent)
            yield "input_tokens", counts["input_tokens"], bound.input_tokens
            yield "output_tokens", counts["output_tokens"], bound.output_tokens
            yield "tokens", counts["tokens"], bound.input_tokens + bound.output_tokens
            yield "cost_usd", counts["cost_usd"], intent.bound_usd_micros

    def _count(self, intent: Intent, sign: int) -> None:
        for name, adds in _adds(intent):
            self.counts[name] += sign * adds
        if isinstance(intent, ev.ToolStarted):
            self._of_answer[intent.scope, intent.step] += sign
            call = intent.scope, intent.step, intent.call
            if intent.recovery is Recovery.DELEGATE:
                self._delegates.add(call)
            if intent.amounts:
                self._amounts[call] = intent.amounts
            if intent.bound_usd_micros:
                self._declared[call] = intent.bound_usd_micros

    def _answered(self, scope: str, step: int, attempt: int, usage: ev.Usage | None, cost: ev.Cost | None) -> None:
        asked = self._open.get((scope, step))
        if asked is not None and asked.attempt == attempt:
            del self._open[scope, step]
            self._tokens(_bound(asked), -1)
            if cost is None or cost.usd_micros is not None:
                self.counts["cost_usd"] -= asked.bound_usd_micros  # of what has no price after all it stays
        if usage is not None:
            self._tokens(usage, 1)
        if cost is not None:
            self.counts["cost_usd"] += cost.usd_micros or 0

    def _failed(self, failed: ev.ModelFailed) -> None:
        if failed.usage is not None or failed.status is not None:
            self._answered(failed.scope, failed.step, failed.attempt, failed.usage, failed.cost)
        else:
            # Nobody knows what was used: it stays at its bound.
            self._open.pop((failed.scope, failed.step), None)

    def _tokens(self, usage: ev.Usage, sign: int) -> None:
        self.counts["input_tokens"] += sign * usage.input_tokens
        self.counts["output_tokens"] += sign * usage.output_tokens
        self.counts["tokens"] += sign * (usage.input_tokens + usage.output_tokens)

    def _finished(self, finished: ev.ToolFinished) -> None:
        if finished.cost is not None:
            self.counts["cost_usd"] += finished.cost.usd_micros or 0
        call = finished.scope, finished.step, finished.call
        if finished.usage is not None and call not in self._delegates:
            self._tokens(finished.usage, 1)
            self.counts["model_requests"] += finished.usage.requests
            self.counts["steps"] += finished.usage.requests
        self.counts["cost_usd"] -= self._declared.pop(call, 0)
        amounts = self._amounts.pop(call, {})
        if finished.outcome == "retry":
            # It did not do what it was to do: as sums for policies are.
            for name, units in amounts.items():
                self.counts[f"amount:{name}"] -= units


def _step_of(intent: Intent) -> tuple[Any, ...]:
    match intent:
        case ev.ModelRequested():
            return intent.scope, intent.step
        case ev.ToolStarted():
            return intent.scope, intent.step, intent.call
        case ev.OutputStarted():
            return intent.scope, intent.step, intent.call, "output"


def _adds(intent: Intent) -> Iterator[tuple[str, int]]:
    match intent:
        case ev.ModelRequested():
            yield "steps", 1
            yield "model_requests", 1
        case ev.ToolStarted():
            yield "steps", 1
            yield "tool_calls", 1
            yield f"calls:{intent.tool}", 1
            if intent.recovery.is_effect:
                yield "side_effects", 1
                yield f"writes:{intent.system or intent.tool}", 1
            for name, units in intent.amounts.items():
                yield f"amount:{name}", units
            yield "cost_usd", intent.bound_usd_micros
        case ev.OutputStarted():
            if intent.recovery.is_effect:
                yield "side_effects", 1
                yield f"writes:{intent.name}", 1


def _bound(asked: ev.ModelRequested) -> ev.Usage:
    return asked.bound or _NOTHING


_NOTHING = ev.Usage()


def _in_words(intent: Intent) -> str:
    match intent:
        case ev.ModelRequested():
            return f"a request to '{intent.model}'"
        case ev.ToolStarted():
            return f"a call of '{intent.tool}'"
        case ev.OutputStarted():
            return f"a call of '{intent.name}'"
