"""Budgets of a run at work: what its steps may use is reserved with their intent, and settled with their outcome.

Where the database has asked for it, as it does once the run's tenant has budgets, each request and each call that costs
says how much it may use. What it did use is told in the commit of the fact that says how it ended. What an attempt
reserved that was cut off stays held, until the next claim or attempt, or the end of the run, settles it at its bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from holdfast.domain import events as ev
from holdfast.domain.recovery import Recovery
from holdfast.engine.used import Answers, of_call, of_failure, of_failures, of_models_inside
from holdfast.store.journal import Spending, Use

if TYPE_CHECKING:
    from uuid import UUID

    from pydantic_ai.messages import ModelResponse

    from holdfast.domain.spent import Begun
    from holdfast.store.journal.asked import Asked

_ENDS = (ev.RunSucceeded, ev.RunFailed, ev.RunCancelled)


@dataclass(slots=True)
class _Request:
    """A model request that reserved."""

    parts: Sequence[Use]
    used: list[Use] | None = None
    """Where an answer came that is not recorded yet."""


class _Call(NamedTuple):
    """A call that was begun."""

    begun: ev.ToolStarted | ev.OutputStarted
    number: int
    """Of its reservation among those of its key."""


@dataclass(slots=True)
class _Step:
    """The requests of one model step that are not settled, by attempt."""

    requests: dict[int, _Request] = field(default_factory=dict[int, _Request])
    answers: Answers = field(default_factory=Answers)


class Budgeting:
    """What one run has reserved.

    Args:
        tenant: of the run.
        feature: the run's label of that name.
        asked: the tenants whose runs are to say what they may use.
        events: the run's journal.
    """

    def __init__(self, tenant: UUID, feature: str, asked: Asked, events: Iterable[ev.AnyEvent]) -> None:
        self._tenant, self._feature, self._asked = tenant, feature, asked
        self._has_reserved = False
        self._steps: dict[tuple[str, int], _Step] = {}
        self._calls: dict[tuple[Any, ...], _Call] = {}
        self._numbers: dict[str, int] = {}
        """By key, what the latest reservation of a call was numbered."""
        self._left: dict[tuple[str, int], ev.ModelRequested] = {}
        """Requests that an earlier holder left half-way."""
        for event in events:
            self._know(event)
            self._leave(event)

    @property
    def is_wanted(self) -> bool:
        """Whether intents are to say what they may use."""
        return self._asked.is_so(self._tenant)

    def left_behind(self) -> list[Spending]:
        """What goes with the claim of the run: nobody waits for these any more, and what they used nobody knows."""
        left, self._left = self._left, {}
        return [Spending(what="void", step=_name(asked), attempt=asked.attempt) for asked in left.values()]

    # --- reserving ---------------------------------------------------------------------------------------------

    def reserve(self, intent: Begun, parts: Sequence[Use] = ()) -> list[Spending]:
        """What an intent may use: of a request, its parts by model; of a call, what the call says that it costs."""
        if not isinstance(intent, ev.ModelRequested):
            if not intent.reserved:
                return []
            return [self._row("reserve", intent.key, self._number(intent), [Use(usd=intent.bound_usd_micros)])]
        rows, name = list[Spending](), _name(intent)
        step = self._steps.get((intent.scope, intent.step))
        for attempt, earlier in step.requests.items() if step is not None else ():
            if earlier.used is not None:  # it was answered, and asked again
                rows.append(self._row("settle", name, attempt, earlier.used))
        if parts:
            rows.append(self._row("reserve", name, intent.attempt, list(parts)))
        return rows

    def begun(self, intent: Begun, parts: Sequence[Use] = ()) -> None:
        """An intent was committed with what `reserve` gave."""
        self._know(intent)
        if not isinstance(intent, ev.ModelRequested):
            return
        step = self._steps.get((intent.scope, intent.step))
        if step is not None:
            step.requests.clear()
        if intent.reserved:
            step = self._steps.setdefault((intent.scope, intent.step), _Step())
            step.requests[intent.attempt] = _Request(parts)

    def answered(
        self,
        scope: str,
        number: int,
        attempt: int,
        response: ModelResponse,
        cost: ev.Cost,
        tried: Sequence[ev.FailedAttempt],
    ) -> None:
        """A response came, which is recorded once hooks have seen it; `tried` were asked before in the same request."""
        step = self._steps.get((scope, number))
        if step is not None and (request := step.requests.get(attempt)) is not None:
            request.used = [
                *step.answers.of(request.parts, response, cost),
                *of_failures(request.parts, tried),
            ]

    # --- settling ----------------------------------------------------------------------------------------------

    def rows_for(self, facts: Iterable[ev.AnyEvent]) -> list[Spending]:
        """What these facts say of what was used."""
        rows = list[Spending]()
        for fact in facts:
            match fact:
                case ev.ModelResponded() if self._steps:
                    rows += self._of_answer(fact)
                case ev.ModelFailed() if self._steps:
                    rows += self._of_failure(fact)
                case ev.ToolFinished():
                    rows += self._of_call((fact.scope, fact.step, fact.call), fact)
                case ev.OutputProcessed():
                    rows += self._of_call((fact.scope, fact.step, fact.call, "output"), fact)
                case ev.EffectResolved() if fact.resolution == "not_done":
                    for call in self._never_happened(fact.key):
                        rows.append(self._row("settle", fact.key, call.number, [Use()]))
                case _ if self._has_reserved and isinstance(fact, _ENDS):
                    rows.append(Spending(what="end"))
                case _:
                    pass
        return rows

    def _of_answer(self, fact: ev.ModelResponded) -> list[Spending]:
        step = self._steps.pop((fact.scope, fact.step), None)
        rows = list[Spending]()
        for attempt, request in step.requests.items() if step is not None else ():
            rows.append(self._row("settle", _name(fact), attempt, request.used or [Use()]))
        return rows

    def _of_failure(self, fact: ev.ModelFailed) -> list[Spending]:
        step = self._steps.get((fact.scope, fact.step))
        request = None if step is None else step.requests.pop(fact.attempt, None)
        if request is None:
            return []
        return [self._row("settle", _name(fact), fact.attempt, request.used or of_failure(request.parts, fact))]

    def _of_call(self, place: tuple[Any, ...], fact: ev.ToolFinished | ev.OutputProcessed) -> list[Spending]:
        begun, number = self._calls.pop(place, (None, 0))
        rows, unreserved = list[Spending](), list[Use]()
        if begun is not None and begun.reserved:
            rows.append(self._row("settle", begun.key, number, of_call(fact)))
        elif self.is_wanted:
            unreserved += [used for used in of_call(fact) if used.usd]
        # The runs inside a delegate are counted by their own steps.
        is_delegate = begun is not None and begun.recovery is Recovery.DELEGATE
        if self.is_wanted and isinstance(fact, ev.ToolFinished) and not is_delegate:
            unreserved += of_models_inside(fact)
        if unreserved:
            rows.append(self._row("spend", "/".join(map(str, place)), 0, unreserved))
        return rows

    def _never_happened(self, key: str) -> list[_Call]:
        places = [place for place, (begun, _) in self._calls.items() if begun.key == key and begun.reserved]
        return [self._calls.pop(place) for place in places]

    def _number(self, intent: ev.ToolStarted | ev.OutputStarted) -> int:
        # A call that comes back approved counts its attempts anew, and what it left before may be kept as estimated.
        return max(intent.attempt, self._numbers.get(intent.key, 0) + 1)

    def _begin(self, place: tuple[Any, ...], intent: ev.ToolStarted | ev.OutputStarted) -> None:
        number = self._number(intent)
        self._calls[place] = _Call(intent, number)
        if intent.reserved:
            self._has_reserved = True
            self._numbers[intent.key] = number

    def _know(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.ModelRequested():
                self._has_reserved = self._has_reserved or event.reserved
            case ev.ToolStarted():
                self._begin((event.scope, event.step, event.call), event)
            case ev.OutputStarted():
                self._begin((event.scope, event.step, event.call, "output"), event)
            case ev.ToolFinished():
                self._calls.pop((event.scope, event.step, event.call), None)
            case ev.OutputProcessed():
                self._calls.pop((event.scope, event.step, event.call, "output"), None)
            case ev.EffectResolved() if event.resolution == "not_done":
                self._never_happened(event.key)
            case _:
                pass

    def _leave(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.ModelRequested() if event.reserved:
                self._left[event.scope, event.step] = event
            case ev.ModelResponded() | ev.ModelFailed():
                self._left.pop((event.scope, event.step), None)
            case _:
                pass

    def _row(self, what: Literal["reserve", "settle", "spend"], name: str, attempt: int, used: list[Use]) -> Spending:
        return Spending(
            what=what,
            step=name,
            attempt=attempt,
            feature=self._feature,
            usd=sum(one.usd or 0 for one in used),
            tokens=sum(one.tokens or 0 for one in used),
            requests=sum(one.requests for one in used),
            no_usd=any(one.usd is None for one in used),
            no_tokens=any(one.tokens is None for one in used),
            models=[one for one in used if one.model],
        )


def _name(fact: ev.ModelRequested | ev.ModelResponded | ev.ModelFailed) -> str:
    """A model step, as reservations are named."""
    return f"{fact.scope}#{fact.step}"
