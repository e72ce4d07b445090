"""What a worker does about halts: hears of them, cancels what they cover, and says what it has still under way.

The thread that renews the lease asks, twice a second and when a hint says so, and says what there is to say in the same
round trip. User code cannot block it: a tool that blocks the event loop is named all the same. What is cancelled is
cancelled in the loop, as soon as that comes to it; nothing covered is begun from the moment the thread has heard.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent
from holdfast.store.halts import Ack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import psycopg

    from holdfast.domain.halts import Covered, Halt
    from holdfast.engine.flight import StepInFlight, Times
    from holdfast.engine.halts import Halts

ASK_S = 0.4
"""Between two questions: within the second for which an answer counts there is time for one that fails."""


class Trace(NamedTuple):
    """What an execution does, and did last."""

    run: Covered
    steps: Sequence[StepInFlight]
    times: Mapping[tuple[str, str], Times]


class Ask(Protocol):
    """`watch_halts` of one worker, on the thread's connection."""

    def __call__(self, connection: psycopg.Connection[Any], acks: Sequence[Ack]) -> Sequence[Halt]:
        """The halts in force; these are said of some."""
        ...


@dataclass(slots=True)
class _Heard:
    """A halt that this worker knows of."""

    halt: Halt
    at: float
    applied: bool = False
    """The event loop has cancelled what it could."""
    settled: bool = False
    """Nothing that it covers is under way here, and the database knows."""


@dataclass(slots=True)
class HaltWatch:
    """Halts, as one worker id knows them.

    Args:
        known: what executions look at.
        ask: how the database is asked.
        traces: what is carried here, and what was lately. Called from any thread.
        cancel: cancels in each execution what is covered; told the halts whose grace is over.
        grace_s: how long effects that must not run again may take to finish.
        heard: brings `apply` about, in the event loop.
        soon: asks the thread to ask again at once.
    """

    known: Halts
    ask: Ask
    traces: Callable[[], Iterable[Trace]]
    cancel: Callable[[frozenset[UUID]], None]
    grace_s: float
    heard: Callable[[], None]
    soon: Callable[[], None]
    due: float = 0.0
    """When to ask next, by the clock of `known`."""
    _heard: dict[UUID, _Heard] = field(default_factory=dict[UUID, _Heard])

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Ask, and say what there is to say. In the lease's thread.

        Raises:
            psycopg.Error: it failed, or the answer was lost.
        """
        asked_at = self.known.clock()
        self.due = asked_at + ASK_S
        acks = {one.halt.id: self._ack(one.halt) for one in list(self._heard.values()) if not one.settled}
        in_force = self.ask(connection, list(acks.values()))
        self.known.heard(in_force, asked_at)
        for id_, ack in acks.items():
            self._heard[id_].settled = not ack.in_flight
        for halt in in_force:
            if halt.id not in self._heard:
                self._heard[halt.id] = _Heard(halt, asked_at)
        for id_ in self._heard.keys() - {halt.id for halt in in_force}:
            del self._heard[id_]
        self.heard()

    def apply(self) -> None:
        """Cancel what is covered, and let those go on who waited to know. In the event loop."""
        self.known.wake()
        heard = list(self._heard.values())
        if not heard:
            return
        grace_over = self.known.clock() - self.grace_s
        self.cancel(frozenset(one.halt.id for one in heard if one.at <= grace_over))
        new = [one for one in heard if not one.applied]
        for one in new:
            one.applied = True
            logger("worker").warning(LogEvent.HALT_HEARD, halt=str(one.halt.id), scope=one.halt.scope, key=one.halt.key)
        if new:
            self.soon()

    def _ack(self, halt: Halt) -> Ack:
        began, cancelled, effect, in_flight = 0.0, 0.0, 0.0, list[dict[str, Any]]()
        moment = time.monotonic()
        for run, steps, times in self.traces():
            if not halt.concerns(run):
                continue
            covered = [step for step in steps if halt.names(step.what, step.name)]
            in_flight += [_told(run, step, moment) for step in covered]
            began = max([began, *(step.began for step in covered)])
            for (what, name), last in list(times.items()):
                if halt.names(what, name):
                    began, effect = max(began, last.began), max(effect, last.effect_ended)
                    cancelled = max(cancelled, last.cancellable_ended)

        def age(at: float) -> float | None:
            return moment - at if at else None

        return Ack(
            tenant=halt.tenant,
            halt=halt.id,
            dispatched_s=age(began),
            cancelled_s=age(cancelled),
            finished_s=age(effect),
            in_flight=in_flight,
        )


def _told(run: Covered, step: StepInFlight, moment: float) -> dict[str, Any]:
    return {
        "run": str(run.run),
        "what": step.what,
        "name": step.name,
        "recovery": step.recovery.value,
        "thread": step.in_thread,
        "for_s": round(moment - (step.began or step.started), 3),
    }
