"""Rows of budgets, as queries answer with them. Amounts of `usd` are in micro-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from holdfast.domain.budgets import Per, Scope, Unit

Alert = Literal["half", "most", "all", "forecast"]


class Called(NamedTuple):
    """What tells a budget from all others that are in force."""

    scope: Scope
    key: str
    unit: Unit
    per: Per


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """A budget, with the window that is now."""

    id: UUID
    scope: Scope
    key: str
    unit: Unit
    per: Per
    amount: int
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str
    ended_at: datetime | None
    since: datetime
    until: datetime | None
    asked_at: datetime
    """The database's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    """What one owner has spent of a budget in one window."""

    budget: UUID
    owner: str
    since: datetime
    most: int
    spent: int
    held: int
    extra: int
    overran: int
    overruns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingRow:
    """What one step holds of a budget, or was taken to have used."""

    run: UUID
    step: str
    attempt: int
    owner: str
    since: datetime
    amount: int
    estimated: bool
    at: datetime
    state: str | None
    """Of the run; None: it is not there any more."""
    waiting_on: str | None
    task: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsettledRow:
    """A reservation of which people may know better."""

    run: UUID
    step: str
    attempt: int
    estimated: bool
    at: datetime
    state: str | None
    waiting_on: str | None
    task: str | None
    amounts: str
    """What it holds of which budget, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrunRow:
    """A step that used more than had been reserved for it."""

    run: UUID
    step: str
    attempt: int
    owner: str
    since: datetime
    reserved: int
    used: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """What a window had come to."""

    id: UUID
    budget: UUID
    scope: Scope
    key: str
    unit: Unit
    per: Per
    owner: str
    since: datetime
    what: Alert
    at: datetime
    spent: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """A window whose held amount is not what is reserved of it."""

    budget: UUID
    scope: Scope
    key: str
    unit: Unit
    per: Per
    owner: str
    since: datetime
    held: int
    reserved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldAlert:
    """An alert of any tenant, for a worker's log."""

    tenant: UUID
    budget: UUID
    scope: Scope
    key: str
    unit: Unit
    per: Per
    owner: str
    since: datetime
    what: Alert
    at: datetime
    spent: int
    amount: int

    def fields(self) -> dict[str, Any]:
        """What a log line says of it: amounts in the budget's unit, of `usd` in micro-dollars; times as ISO 8601."""
        told = {
            name: getattr(self, name) for name in ("scope", "key", "unit", "per", "owner", "what", "spent", "amount")
        }
        ids = {"tenant": str(self.tenant), "budget": str(self.budget)}
        return ids | told | {"since": self.since.isoformat(), "at": self.at.isoformat()}
