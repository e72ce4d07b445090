"""What each step of a run reserved and used, by its journal: the rule is written here once more, beside the product's.

`Books` adds it up for each budget and owner, as it has to stand in windows, reservations and overruns.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from holdfast.domain import events as ev

UNITS = ("usd", "tokens", "requests")


@dataclass
class Step:
    """One attempt at a request or a call that budgets know of."""

    run: UUID
    name: str
    """As reservations are named."""
    attempt: int
    model: str
    bound: Mapping[str, int]
    scope: str
    number: int
    used: dict[str, int | None] | None = None
    """By unit; None: nobody knows. None in all: nobody said how it ended."""
    fact: ev.AnyEvent | None = None
    """How it ended."""

    @property
    def is_estimated(self) -> bool:
        return self.used is None or None in self.used.values()

    def settled(self, unit: str) -> int:
        """What budgets have to have taken for spent: what was used, or at least the bound where nobody knows."""
        used = None if self.used is None else self.used[unit]
        return self.bound[unit] if used is None else used


def steps_of(run: UUID, events: Iterable[ev.AnyEvent]) -> list[Step]:
    """All of them, in order."""
    made = list[Step]()
    requests: dict[tuple[str, int, int], Step] = {}
    calls: dict[tuple[str, int, str], Step | None] = {}
    for event in events:
        match event:
            case ev.ModelRequested():
                assert event.reserved, f"a request of {run} was sent and not reserved: {event}"
                assert event.bound is not None
                bound = {
                    "usd": event.bound_usd_micros,
                    "tokens": event.bound.input_tokens + event.bound.output_tokens,
                    "requests": 1,
                }
                name = f"{event.scope}#{event.step}"
                step = Step(run, name, event.attempt, event.model, bound, event.scope, event.step)
                requests[event.scope, event.step, event.attempt] = step
                made.append(step)
            case ev.ModelResponded() | ev.ModelFailed():
                step = requests.pop((event.scope, event.step, event.attempt))
                step.used, step.fact = _of_request(event), event
            case ev.ToolStarted():
                call = None
                if event.reserved:
                    bound = {"usd": event.bound_usd_micros, "tokens": 0, "requests": 0}
                    call = Step(run, event.key, event.attempt, "", bound, event.scope, event.step)
                    made.append(call)
                calls[event.scope, event.step, event.call] = call
            case ev.ToolFinished():
                call = calls.pop((event.scope, event.step, event.call), None)
                paid = 0 if event.cost is None else event.cost.usd_micros
                if call is None and paid:
                    name = f"{event.scope}/{event.step}/{event.call}"
                    call = Step(run, name, 0, "", dict.fromkeys(UNITS, 0), event.scope, event.step)
                    made.append(call)
                if call is not None:
                    # What was not reserved counts as far as it is known.
                    unsure = event.cost is not None and bool(event.cost.unpriced) and call.attempt > 0
                    call.used, call.fact = {"usd": None if unsure else paid, "tokens": 0, "requests": 0}, event
            case _:
                pass
    return made


def _of_request(fact: ev.ModelResponded | ev.ModelFailed) -> dict[str, int | None]:
    cost, usage = fact.cost, fact.usage
    is_refused = isinstance(fact, ev.ModelFailed) and (fact.status is not None or cost is None)
    tokens = None if usage is None else usage.input_tokens + usage.output_tokens
    return {
        "usd": 0 if cost is None else None if cost.usd_micros is None or cost.unpriced else cost.usd_micros,
        "tokens": 0 if is_refused else tokens or None,  # no answer takes none
        "requests": 1,
    }


@dataclass(frozen=True)
class Whose:
    """What decides which budgets a run counts towards."""

    run: UUID
    principal: str
    session: str
    feature: str
    task: str

    def owner(self, budget: Mapping[str, Any], model: str) -> str | None:
        """As which owner it counts towards this budget; None: it does not."""
        of = {
            "tenant": "", "user": self.principal, "session": self.session, "feature": self.feature, "task": self.task,
            "model": model,
        }[budget["scope"]]  # fmt: skip
        if budget["scope"] != "tenant" and (not of or budget["key"] not in ("*", of)):
            return None
        if budget["per"] != "run":
            return of
        return f"{self.run} {of}" if budget["scope"] == "model" else str(self.run)


class Books:
    """What windows, reservations and overruns have to hold."""

    def __init__(self, budgets: Iterable[Mapping[str, Any]]) -> None:
        self._budgets = list(budgets)
        self.spent = Counter[tuple[UUID, str]]()
        self.overran = Counter[tuple[UUID, str]]()
        self.overruns: dict[tuple[UUID, str, int, UUID, str], tuple[int, int]] = {}
        self.estimated: dict[tuple[UUID, str, int], dict[UUID, int]] = {}

    def add(self, whose: Whose, step: Step) -> None:
        for budget in self._budgets:
            owner = whose.owner(budget, step.model)
            bound, settled = step.bound[budget["unit"]], step.settled(budget["unit"])
            if owner is None or not (bound or settled):
                continue
            self.spent[budget["id"], owner] += settled
            if settled > bound:
                self.overran[budget["id"], owner] += settled - bound
                self.overruns[step.run, step.name, step.attempt, budget["id"], owner] = (bound, settled)
            if step.is_estimated:
                self.estimated.setdefault((step.run, step.name, step.attempt), {})[budget["id"]] = settled
