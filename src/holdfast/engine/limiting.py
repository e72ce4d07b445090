"""The limits of a run at work: each intent is held against them before it is committed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from holdfast.domain import events as ev
from holdfast.domain.limits import Ceilings, Reached, ceiling_of, lowest, raised
from holdfast.domain.spent import Counted, Intent, Spent
from holdfast.engine.interrupt import Interrupt

if TYPE_CHECKING:
    from holdfast.engine.gear import Gear
    from holdfast.store.hashing import StoredEvent
    from holdfast.task import Task

_TOKENS = frozenset({"tokens", "input_tokens", "output_tokens", "cost_usd"})


class Limited(Interrupt):
    """The next step would exceed a limit: it is not begun."""

    def __init__(self, reached: Reached) -> None:
        super().__init__(str(reached))
        self.reached = reached


class Limiting:
    """Ceilings of one run, and where it stands. Counting is done as facts are written, before they are committed.

    Args:
        own: the task's and the request's, as people raised them.
        tenants: those of the tenant, which nobody raises for one run.
        spent: what was counted so far.
        gear: clocks.
        worked_s: for how long workers held the run before this execution.
        since: when it began, by the monotonic clock.
        accepted_at: when the run was asked for.
    """

    def __init__(
        self,
        own: dict[str, int],
        tenants: Ceilings,
        spent: Spent,
        gear: Gear,
        worked_s: float,
        since: float,
        accepted_at: datetime,
    ) -> None:
        self._own, self._tenants = own, tenants
        self.ceilings = lowest(own, tenants)
        """Those that rule."""
        self.spent = spent
        self._gear, self._worked_s, self._since, self._accepted_at = gear, worked_s, since, accepted_at
        self.bounds_tokens = not _TOKENS.isdisjoint(self.ceilings)
        """Whether it has to be known beforehand what a request may use."""

    def begin(self, intent: Intent) -> Counted:
        """Count an intent that is about to be announced.

        Raises:
            Limited: it would exceed a limit, and is not counted.
        """
        reached = self.spent.reached(intent, self.ceilings, self._times())
        if reached is not None:
            raise self._limited(reached)
        return self.spent.begin(intent)

    def take_back(self, intent: Intent, counted: Counted) -> None:
        """Nothing was announced after all."""
        self.spent.take_back(intent, counted)

    def saw(self, facts: Iterable[ev.AnyEvent]) -> None:
        """Count facts that are written, and raise what people raise. Intents were counted before."""
        for fact in facts:
            if isinstance(fact, ev.EscalationDecided):
                self._own = raised(self._own, [fact.limits])
                self.ceilings = lowest(self._own, self._tenants)
            if not isinstance(fact, Intent):
                self.spent.add(fact)

    def left(self, name: str) -> int | None:
        """What is left of one of them; None where it is not limited."""
        return self.ceilings[name] - self.spent.counts[name] if name in self.ceilings else None

    def check_output(self, size: int) -> None:
        """Refuse an output that is too large.

        Raises:
            Limited: it is.
        """
        most = self.ceilings.get("output_bytes")
        if most is not None and size > most:
            raise self._limited(Reached("output_bytes", most, 0, size, "the output"))

    def cut_short(self, name: str, model: str) -> NoReturn:
        """An answer was cut by what was left of a limit.

        Raises:
            Limited: always.
        """
        most, stood = self.ceilings[name], self.spent.counts[name]
        raise self._limited(Reached(name, most, stood, most - stood + 1, f"the answer of '{model}'"))

    def _limited(self, reached: Reached) -> Limited:
        """What stops the run, with whose limit it is: the tenant's has to be raised elsewhere."""
        tenants, own = ceiling_of(self._tenants, reached.limit), ceiling_of(self._own, reached.limit)
        needed = reached.stood + reached.adds
        if tenants is None or tenants >= needed:
            return Limited(reached)
        return Limited(reached._replace(tenants=tenants, own=own if own is not None and own < needed else None))

    def _times(self) -> dict[str, int]:
        times = dict[str, int]()
        if "wall_clock" in self.ceilings:
            times["wall_clock"] = int(self._worked_s + self._gear.monotonic() - self._since)
        if "deadline" in self.ceilings:
            times["deadline"] = int((self._gear.now() - self._accepted_at).total_seconds())
        return times


def limiting(
    task: Task,
    tenants: Ceilings,
    gear: Gear,
    recorded: Sequence[StoredEvent],
    events: Sequence[ev.AnyEvent],
    epoch: int,
    since: float,
) -> Limiting | None:
    """The limits of a run as its journal has it, under those of its tenant; None where nothing is limited."""
    accepted = next((event for event in events if isinstance(event, ev.RunAccepted)), None)
    if accepted is None or not (task.ceilings or accepted.limits or tenants):
        return None
    own = raised(
        lowest(task.ceilings, accepted.limits),
        (event.limits for event in events if isinstance(event, ev.EscalationDecided)),
    )
    spent = Spent.of(events)
    worked_s = _worked_s(recorded, events, epoch) if "wall_clock" in own or "wall_clock" in tenants else 0.0
    return Limiting(own, tenants, spent, gear, worked_s, since, recorded[0].at)


def _worked_s(recorded: Sequence[StoredEvent], events: Sequence[ev.AnyEvent], epoch: int) -> float:
    """From the first to the last word of each worker before this epoch."""
    total, began, last = 0.0, None, None
    for stored, event in zip(recorded, events, strict=True):
        if isinstance(event, ev.RunClaimed):
            if began is not None and last is not None:
                total += (last - began).total_seconds()
            if event.epoch >= epoch:
                return total
            began = stored.at
        last = stored.at
    if began is not None and last is not None:
        total += (last - began).total_seconds()
    return total
