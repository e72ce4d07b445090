"""Loops: a run that makes the same calls again and again, and what it is told of it.

A run is looked at answer by answer: what a model asks for in one answer it asked for before it saw any of it, so calls
of one answer are not repetitions of each other. A call is told by its tool and its arguments, a result by what it is.
Everything is counted for each agent by itself: the run's own, and each run of a sub-agent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, TypeAlias

from holdfast.domain.errors import UserError

LoopKind: TypeAlias = Literal["same_call", "same_error", "cycle", "no_progress"]

LONGEST_CYCLE = 8
"""A cycle of more answers than this is seen as no progress."""
MOST_TOLD = 3
"""Of so many loops a model is told. One that goes from loop to loop does not go on for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """How often a run may repeat itself before its model is told. Gone on with after that, the run stops.

    An answer *brings something new* if a call of it was not made before, gave another result than the last time, or has
    no result that is known; and always, if it calls a tool that may be repeated. None switches a kind off.

    Args:
        same_call: a call was made in so many answers in a row, gave the same result each time, and none of these
            answers but the first brought anything new. The next one is not made.
        same_error: a tool ended in the same error (`ToolFailed`, `ModelRetry`, an error of validation in it, a refusal
            by policy) in so many answers that called it, whatever the arguments. Its next call is not made; the one
            after that is, and if it ends the same, no further.
        cycle: so many rounds of the same two to eight answers, with the same calls and results in each round. The next
            call that is part of it is not made.
        no_progress: so many answers in a row brought nothing new. The next call that was made before is not made.
        exempt: tools that may be repeated, as one that asks whether something is finished. `@governed(repeats=True)`
            says the same of a tool.

    Raises:
        UserError: one of them is not a number of times that something can be repeated.
    """

    same_call: int | None = 5
    same_error: int | None = 5
    cycle: int | None = 4
    no_progress: int | None = 10
    exempt: Collection[str] = ()

    def __post_init__(self) -> None:
        for kind, times in self.thresholds().items():
            if isinstance(times, bool) or not isinstance(times, int) or times < _FEWEST:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UserError(f"Loops: {kind} is {times!r}; give a whole number from {_FEWEST} on, or None.")
        object.__setattr__(self, "exempt", frozenset([self.exempt] if isinstance(self.exempt, str) else self.exempt))

    def thresholds(self) -> dict[str, int]:
        """Those that are on, by kind."""
        return {name: times for name in KINDS if (times := getattr(self, name)) is not None}


KINDS = tuple(one.name for one in fields(Loops) if one.name != "exempt")
_FEWEST = 2


class Loop(NamedTuple):
    """A loop that a call would go on with."""

    kind: LoopKind
    tool: str
    """Of the call."""
    times: int
    """How often it was seen: the call, the error, the round, the answer without anything new."""
    round: tuple[str, ...] = ()
    """The tools of one round of a cycle, in the order of its answers."""
    keys: tuple[str, ...] = ()
    """This loop, and all others that the call would go on with, each by a digest of what is repeated."""
    is_told: bool = False
    """Whether the model was told of it, or of too many: the run stops."""

    @property
    def seen(self) -> str:
        """What was seen, in words without content."""
        match self.kind:
            case "same_call":
                made = f"'{self.tool}' was called with the same arguments {self.times} times in a row"
                return f"{made} and gave the same result each time"
            case "same_error":
                return f"'{self.tool}' ended in the same error {self.times} times in a row"
            case "cycle":
                tools = ", ".join(f"'{tool}'" for tool in self.round)
                return f"the same calls ({tools}) were made {self.times} rounds in a row, with the same results"
            case "no_progress":
                return f"{self.times} answers in a row brought nothing new: the calls and results of before"

    @property
    def to_model(self) -> str:
        """What the model is told in place of a result."""
        match self.kind:
            case "same_error":
                advice = (
                    "Find out what is wrong before you call it again, do without it, or say that you cannot go on. "
                    "If it ends in this error once more, the run is stopped"
                )
            case _:
                advice = (
                    "You have all that they gave: use it, do something else, or say that you cannot go on. "
                    "If you go on like this, the run is stopped"
                )
        return f"This call was not made: {self.seen}. {advice}."

    @property
    def to_people(self) -> str:
        """Why the run stops, and what can be done."""
        return (
            f"The run is in a loop: {self.seen}, and a call of '{self.tool}' comes next, though the model was told. "
            "Let it go on and it may do so as often again, finish it with an output of yours, or fail it."
        )


def in_words(kind: LoopKind, times: int) -> str:
    """A kind of loop, and how often it is or was seen."""
    match kind:
        case "same_call":
            return f"the same call {times} times in a row"
        case "same_error":
            return f"the same error {times} times in a row"
        case "cycle":
            return f"{times} rounds of the same calls"
        case "no_progress":
            return f"{times} answers without progress"
