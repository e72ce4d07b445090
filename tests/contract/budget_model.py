"""What budgets are to do, said without a database: a ledger of windows, and who may have how much of them."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Budget:
    """One budget in force."""

    id: Any
    scope: str
    key: str
    unit: str
    per: str
    amount: int

    def owner(self, run: Any, feature: str, model: str) -> str | None:
        """Whose window a step of this run counts in, as far as it is about this model; None: it does not count."""
        found = {"tenant": "", "user": run.principal, "task": "t", "feature": feature, "model": model}[self.scope]
        if self.scope != "tenant" and (not found or self.key not in ("*", found)):
            return None
        if self.per != "run":
            return found
        return f"{run.held.run} {found}" if self.scope == "model" else str(run.held.run)


@dataclass
class Window:
    """What is spent and held."""

    spent: int = 0
    held: int = 0
    extra: int = 0
    overran: int = 0


@dataclass
class Run:
    """A run and its open reservations, by step and attempt."""

    held: Any
    principal: str
    open: dict[tuple[str, int], list[tuple[Budget, str, Any, str, int]]] = field(default_factory=dict)
    """Of each: budget, owner, when its window began, the model it is about, the amount."""


class Model:
    """All of it."""

    def __init__(self) -> None:
        self.budgets: dict[tuple[str, str, str, str], Budget] = {}
        self.windows: dict[tuple[Any, str, Any], Window] = defaultdict(Window)

    def lines(self, run: Run, feature: str, parts: dict[str, dict[str, int | None]], since: Any) -> list[Any] | None:
        """What a step reserves; None: something of it has no price where money is limited."""
        found = dict[tuple[Any, str, str], list[Any]]()
        for budget in self.budgets.values():
            for name, part in parts.items():
                owner = budget.owner(run, feature, name)
                if owner is None:
                    continue
                about = name if budget.scope == "model" else ""
                key = (budget.id, owner, about)
                line = found.setdefault(key, [budget, owner, since(budget.per), about, 0])
                if part[budget.unit] is None:
                    return None
                line[4] += part[budget.unit]
        return [line for line in found.values() if line[4]]

    def member(self, run: Run, settles: list[Any], reserves: list[Any]) -> str:
        """Settle and reserve, all or nothing; the verdict."""
        kept = {key: Window(**vars(window)) for key, window in self.windows.items()}
        was_open = dict(run.open)
        for step, attempt, parts in settles:
            self._settle(run, (step, attempt), parts)
        for step, attempt, lines in reserves:
            for key in [key for key in run.open if key[0] == step and key[1] < attempt]:
                self._settle(run, key, None)
            if lines is None or not all(self._has_room(*line) for line in lines):
                self.windows = defaultdict(Window, kept)
                run.open = was_open
                return "unpriced" if lines is None else "over_budget"
            if lines:
                run.open[step, attempt] = lines
        return "appended"

    def _has_room(self, budget: Budget, owner: str, since: Any, _about: str, amount: int) -> bool:
        window = self.windows[budget.id, owner, since]
        if window.spent + window.held + amount > budget.amount + window.extra:
            return False
        window.held += amount
        return True

    def _settle(self, run: Run, key: tuple[str, int], parts: dict[str, dict[str, int | None]] | None) -> None:
        for budget, owner, since, about, amount in run.open.pop(key, ()):
            window = self.windows[budget.id, owner, since]
            used = amount
            if parts is not None:
                mine = [part[budget.unit] for name, part in parts.items() if not about or name == about]
                known = sum(one or 0 for one in mine)
                used = max(amount, known) if None in mine else known
            window.held -= amount
            window.spent += used
            window.overran += max(0, used - amount)
