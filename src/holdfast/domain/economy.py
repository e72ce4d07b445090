"""Cheaper models under pressure: what a task says may answer instead when a budget is nearly spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.domain.errors import UserError

_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Cheaper:
    """A model that may answer in place of an agent's own.

    Args:
        at: how much of a budget, in percent, is spent or reserved when it takes over.
        model: its name, as an agent takes it, or a model of Pydantic AI's.

    Raises:
        UserError: `at` is no percentage.
    """

    at: int
    model: Any

    def __post_init__(self) -> None:
        if isinstance(self.at, bool) or not isinstance(self.at, int) or not 0 < self.at <= _WHOLE:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"Cheaper(at={self.at!r}): give a percentage from 1 to 100.")


def cheaper_at(choices: Sequence[Cheaper], percent: int) -> Cheaper | None:
    """What is to answer when so much of the fullest budget is taken; None: the agent's own model.

    The one that takes over last is the floor: below it nothing is asked, the run waits for the budget instead.
    """
    return max((one for one in choices if one.at <= percent), key=lambda one: one.at, default=None)
