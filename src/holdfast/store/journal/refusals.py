"""Why the database refuses the intents of a member, while its facts are committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.domain.errors import RightsChanged, RunCancelling, RunHalted, RunInterrupted, TalliesMoved

if TYPE_CHECKING:
    from uuid import UUID

REFUSED: dict[str, tuple[type[RunInterrupted], str]] = {
    "halted": (RunHalted, "A halt covers run {run}: nothing new is started."),
    "cancelled": (RunCancelling, "Run {run} is being cancelled: nothing new is started."),
    "stale": (RightsChanged, "The rights behind run {run} have changed: look at them first."),
    "moved": (TalliesMoved, "A sum that a call of run {run} was decided on has changed since."),
}
"""Answers that refuse a member's intents, and what they mean."""


def refusal(outcome: str, run: UUID) -> RunInterrupted:
    """What such an answer means to whoever announced something."""
    error, why = REFUSED[outcome]
    return error(run, why.format(run=run))
