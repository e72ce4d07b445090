"""What tools write to, and what their calls add up to: what a task's limits on writes and amounts speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from holdfast.domain.limits import Ceilings
from holdfast.guards.policy.action import added
from holdfast.guards.policy.kinds import is_model, members
from holdfast.guards.policy.shape import ToolShape


@dataclass(frozen=True, slots=True)
class Written:
    """What a tool declares of its writes."""

    system: str
    """Empty: the tool stands for itself."""
    tallies: Mapping[str, str]
    single: str | None

    def amounts(self, values: Mapping[str, Any]) -> dict[str, int]:
        """What a call with these arguments adds, in ten-thousandths.

        Raises:
            Unfit: an amount is none.
        """
        if not self.tallies:
            return {}
        return added(self.tallies, self._given(values))

    def _given(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        given = values.get(self.single) if self.single is not None and len(values) == 1 else None
        if is_model(given):
            return members(given)
        return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else values


def written_by(shapes: Iterable[ToolShape]) -> dict[str, Written]:
    """What tools declare of their writes, by their names; those that declare nothing are left out."""
    return {
        shape.name: Written(shape.governed.system, dict(shape.governed.tallies), shape.single)
        for shape in shapes
        if shape.governed.system or shape.governed.tallies
    }


Countable: TypeAlias = Mapping[str, frozenset[str]]
"""The names that limits of a kind (`calls`, `writes`, `amount`) can be given for."""


def countable(shapes: Sequence[ToolShape], output_functions: Iterable[str]) -> Countable:
    """What can be limited of a task with these tools."""
    writing = [shape for shape in shapes if shape.recovery.is_effect]
    return {
        "calls": frozenset(shape.name for shape in shapes),
        "writes": frozenset(shape.governed.system or shape.name for shape in writing) | frozenset(output_functions),
        "amount": frozenset(tally for shape in shapes for tally in shape.governed.tallies),
    }


def check_limits(task: str, ceilings: Ceilings, known: Countable) -> None:
    """Refuse limits that could never bind, as one on a tool whose name is misspelt.

    Raises:
        ValueError: the task has nothing that one of them names; the message says what it has.
    """
    for ceiling in ceilings:
        kind, _, key = ceiling.partition(":")
        if key and key not in known[kind]:
            there = ", ".join(sorted(known[kind])) or "none"
            raise ValueError(
                f"Task '{task}': limits name {_WHAT[kind]} '{key}', which it does not have. There is: {there}."
            )


_WHAT = {"calls": "tool", "writes": "system or writing tool", "amount": "tally"}
