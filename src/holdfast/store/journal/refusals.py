"""Why the database refuses the intents of a member, while its facts are committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from pydantic import TypeAdapter

from holdfast.domain.budgets import Shortage
from holdfast.domain.errors import (
    BoundWanted,
    OverBudget,
    RightsChanged,
    RunCancelling,
    RunHalted,
    RunInterrupted,
    TalliesMoved,
)

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.store.journal.statement import Answer

REFUSED: dict[str, tuple[type[RunInterrupted], str]] = {
    "halted": (RunHalted, "A halt covers run {run}: nothing new is started."),
    "cancelled": (RunCancelling, "Run {run} is being cancelled: nothing new is started."),
    "stale": (RightsChanged, "The rights behind run {run} have changed: look at them first."),
    "moved": (TalliesMoved, "A sum that a call of run {run} was decided on has changed since."),
    "unbounded": (BoundWanted, "Budgets apply to run {run}: say what the step may use."),
    "unpriced": (OverBudget, "Money of run {run} is limited by a budget, and nobody knows what its next step costs."),
    "over_budget": (OverBudget, "A budget of run {run} has no room for its next step."),
}
"""Answers that refuse a member's intents, and what they mean."""

_SHORTAGE = TypeAdapter(Shortage)


def refusal(answer: Answer, run: UUID) -> RunInterrupted:
    """What such an answer means to whoever announced something."""
    error, why = REFUSED[answer.outcome]
    found = error(run, why.format(run=run))
    if isinstance(found, OverBudget):
        assert answer.why is not None
        found.shortage = _SHORTAGE.validate_python(orjson.loads(answer.why))
        found.is_unpriced = answer.outcome == "unpriced"
    return found
