"""How much is left of what a run may spend, for policies that look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.domain.errors import OperatorError
from holdfast.store.pressure import budget_pressure

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder

_WHOLE = 100


async def budget_left(recorder: Recorder) -> int:
    """What is left in percent, from 0 to 100: of the fullest of the run's budgets, or of its own limit on money.

    Budgets of single models do not count: no request is being made. What is held of a budget is not left, also what the
    request before the call held, whose answer may be committed with the call's intent.

    Raises:
        Interrupt: the database is away.
    """
    claimed, limiting = recorder.claimed, recorder.limiting
    try:
        found = await budget_pressure(recorder.gear.db, claimed.tenant, claimed.run, recorder.replay.feature, ())
    except OperatorError as error:
        raise recorder.stopped_by(error) from error
    left = _WHOLE if found is None else max(0, _WHOLE - found.percent)
    money = None if limiting is None else limiting.left("cost_usd")
    if limiting is None or money is None:
        return left
    most = limiting.ceilings["cost_usd"]
    return min(left, _WHOLE * max(0, money) // most) if most else 0
