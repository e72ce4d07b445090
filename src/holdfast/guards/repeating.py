"""Which tools of a task may be repeated without end: those that say so, and those that its task says so of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.domain.errors import UserError

if TYPE_CHECKING:
    from holdfast.domain.loops import Loops
    from holdfast.guards.policy import ToolShape
    from holdfast.guards.written import Countable


def loops_of(task: str, loops: Loops | None, shapes: Iterable[ToolShape], known: Countable | None) -> Loops | None:
    """A task's thresholds for loops, with all of its tools exempt that may be repeated.

    Args:
        task: its name.
        loops: as it gives them.
        shapes: its tools.
        known: what limits can be given for; None where not all of its tools are known before a run.

    Raises:
        UserError: it exempts a tool that it does not have.
    """
    if loops is None:
        return None
    if known is not None and (unknown := sorted(set(loops.exempt) - known["calls"])):
        there = ", ".join(sorted(known["calls"])) or "none"
        raise UserError(
            f"Task '{task}': loops exempt {', '.join(map(repr, unknown))}, which it has no tool for. There is: {there}."
        )
    return replace(loops, exempt={*loops.exempt, *(shape.name for shape in shapes if shape.governed.repeats)})
