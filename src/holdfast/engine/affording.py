"""Announcing a step that budgets have to have room for: what is done where one has none.

Where others hold what is missing, it is waited for, a little while here and then as rows: what they reserve is mostly
more than they use. Where it is spent, a request's answer may still be made short enough. Else the run parks until the
budget begins anew or somebody raises it, or it fails, as its task says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

from holdfast.domain import events as ev
from holdfast.domain.errors import BoundWanted, OverBudget
from holdfast.domain.state import WaitingOn
from holdfast.engine.bounding import unpriced
from holdfast.engine.interrupt import Fail, Interrupt, Park

if TYPE_CHECKING:
    from holdfast.domain.budgets import Shortage
    from holdfast.engine.bounding import Bounded
    from holdfast.engine.recorder import Recorder
    from holdfast.store.journal import Row

_FIRST_S, _MOST_S = 0.05, 1.0
"""How long the first and the longest wait for what others hold are, about."""
_TRIES = 12
"""How often it is waited for before the run parks: some eight seconds."""
_AGAIN_S = 15.0
"""How long a run parks at least for what others hold."""
_SPREAD_S = 60.0
"""Over how long runs are woken that wait for a window: they would all come at once."""

Call = TypeVar("Call", ev.ToolStarted, ev.OutputStarted)


class Unaffordable(Fail):
    """A budget has no room for the next step, and the task has such a run fail."""

    def __init__(self, shortage: Shortage) -> None:
        super().__init__(str(shortage), "BudgetSpent")


class _Patience:
    """Waits for room, as long as that may help."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tries = 0

    async def wait(self, shortage: Shortage) -> None:
        """Let some time pass.

        Raises:
            Park, Unaffordable: there will be no room soon.
        """
        if shortage.is_spent or self._tries >= _TRIES:
            give_up(self._recorder, shortage)
        pause_s = min(_FIRST_S * 2**self._tries, _MOST_S)
        self._tries += 1
        await asyncio.sleep(pause_s * (0.5 + self._recorder.gear.random()))


def give_up(recorder: Recorder, shortage: Shortage) -> NoReturn:
    """End the work of a run that a budget has no room for.

    Raises:
        Park: until there may be room.
        Unaffordable: its task has it fail.
    """
    if not shortage.is_spent:
        raise _parked(shortage, shortage.at + timedelta(seconds=_AGAIN_S * (1 + recorder.gear.random())))
    if recorder.task.on_limit == "fail":
        raise Unaffordable(shortage)
    until = shortage.until
    raise _parked(shortage, None if until is None else until + timedelta(seconds=_SPREAD_S * recorder.gear.random()))


def _parked(shortage: Shortage, wake_at: datetime | None) -> Park:
    park = Park(WaitingOn.BUDGET, str(shortage))
    park.wake_at = wake_at
    park.budget, park.owner = shortage.budget, shortage.owner
    return park


async def announce_request(
    recorder: Recorder,
    made: Callable[[Bounded], ev.ModelRequested],
    bounded: Callable[[Shortage | None], Bounded],
) -> tuple[Bounded, int]:
    """Commit the intent to send a request, with what it may use reserved.

    Args:
        recorder: of the run.
        made: the intent, given how its use is bounded.
        bounded: its bound, given a budget that has no room for as much as it might take.

    Returns: how it is bounded, and the number of the intent in the journal.

    Raises:
        ModelUnpriced: a budget limits its money, and nobody knows what it costs.
        Interrupt: the run may not go on here.
    """
    patience = _Patience(recorder)
    found = bounded(None)
    while True:
        intent = made(found)
        try:
            seq = await recorder.intend(intent, recorder.budgeting.reserve(intent, found.parts))
        except BoundWanted:
            found = bounded(None)
        except OverBudget as over:
            if over.is_unpriced:
                raise unpriced(intent.model) from over
            found = await _within(recorder, bounded, over.shortage, patience)
        else:
            recorder.budgeting.begun(intent, found.parts)
            return found, seq


async def _within(
    recorder: Recorder,
    bounded: Callable[[Shortage | None], Bounded],
    shortage: Shortage,
    patience: _Patience,
) -> Bounded:
    """How the request is bounded that is tried next."""
    if shortage.is_spent:
        shorter = bounded(shortage)
        if shorter.cut_by is shortage:
            return shorter
    await _waited(recorder, patience, shortage)
    return bounded(None)


async def announce_call(recorder: Recorder, intent: Call, rows: Sequence[Row] = ()) -> None:
    """Commit the intent of a call, with what it says that it costs reserved.

    Raises:
        TalliesMoved: a sum among `rows` is another by now: nothing is announced.
        Interrupt: the run may not go on here.
    """
    budgeting, patience = recorder.budgeting, _Patience(recorder)
    while True:
        intent = replace(intent, reserved=bool(intent.bound_usd_micros) and budgeting.is_wanted)
        try:
            await recorder.intend(intent, (*rows, *budgeting.reserve(intent)))
        except BoundWanted:
            continue
        except OverBudget as over:
            await _waited(recorder, patience, over.shortage)
        else:
            budgeting.begun(intent)
            return


async def _waited(recorder: Recorder, patience: _Patience, shortage: Shortage) -> None:
    try:
        await patience.wait(shortage)
    except Interrupt as interrupt:
        recorder.interrupted_by(interrupt)
        raise
