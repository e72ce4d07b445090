"""What is to happen in a run: which payments it makes, and what people will say of each. All of it from one seed.

The text a run opens with says its payments, `<tag> <together|in turn> tool:amount …`; the model reads it there.
"""

import random
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from bank_app import TASKS
from bank_policy import TOOLS

from holdfast.testing import Script, ScriptRequest, call, calls, say

AMOUNTS = ("30.00", "80.00", "250.00", "300.00", "350.00", "450.00", "1500.00", "3000.00", "7500.00")
Will = Literal["agree", "reject", "edit", "silence", "quarrel"]
WILLS: tuple[Will, ...] = ("agree", "agree", "agree", "agree", "reject", "edit", "edit", "quarrel")


@dataclass(frozen=True)
class Payment:
    """One tool call, and what becomes of it where people are asked."""

    order: str
    tool: str
    amount: str
    will: Will
    edited: str
    """The amount that an editor makes of it."""


@dataclass
class Plot:
    """One run."""

    tag: str
    task: str
    together: bool
    payments: list[Payment]
    is_cancelled: bool
    """Whether somebody may cancel it."""

    @property
    def opening(self) -> str:
        how = "together" if self.together else "in-turn"
        return " ".join([self.tag, how, *(f"{payment.tool}:{payment.amount}" for payment in self.payments)])


@dataclass(frozen=True)
class Run:
    """A run that was started."""

    id: UUID
    plot: Plot

    def payment(self, order: str) -> Payment:
        [found] = [payment for payment in self.plot.payments if payment.order == order]
        return found


def plot(rng: random.Random, tag: str) -> Plot:
    task = rng.choice(["patient", "patient", *TASKS])
    wills: tuple[Will, ...] = WILLS if task == "patient" else (*WILLS, "silence", "silence", "silence")
    payments = [
        Payment(f"{tag}-{nth}", rng.choice(TOOLS), rng.choice(AMOUNTS), rng.choice(wills), rng.choice(AMOUNTS))
        for nth in range(rng.randint(1, 2))
    ]
    return Plot(tag, task, rng.random() < 0.5, payments, rng.random() < 0.08)


def _decide(request: ScriptRequest) -> Any:
    tag, how, *told = request.opening.split()
    wanted = [
        call(tool, order=f"{tag}-{nth}", amount=amount)
        for nth, (tool, _, amount) in enumerate(one.partition(":") for one in told)
    ]
    if how == "together" and request.turn == 1:
        return calls(*wanted)
    if how == "in-turn" and request.turn <= len(wanted):
        return wanted[request.turn - 1]
    return say("; ".join(result.text for result in request.results))


SCRIPT = Script(_decide)
