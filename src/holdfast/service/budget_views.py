"""What use cases about budgets answer with. Amounts are in the budget's unit: dollars, tokens or requests."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from holdfast.domain.budgets import Per, Scope, Unit
from holdfast.service.base_views import View


class WindowView(View):
    """What one owner may spend, and has spent, in one window."""

    owner: str
    """Whose, of a budget that is for each by itself; of each run's: the run, and of a model's the model behind it."""
    owner_name: str
    since: datetime | None
    """Null where it is for each run, or for good."""
    until: datetime | None
    most: Decimal
    """What may be spent, raises included."""
    extra: Decimal
    """By which people raised it."""
    spent: Decimal
    held: Decimal
    """Reserved by steps that are not settled."""
    left: Decimal
    """What could be reserved. Below nothing after an overrun, or once the budget was lowered."""
    forecast: Decimal | None = None
    """What will be spent at its end, if it goes on so. Null where a tenth of the time is not past, or nothing ends."""
    overruns: int
    """How many steps used more than had been reserved for them."""
    overran: Decimal
    """By how much in all."""


class BudgetView(View):
    """A budget, with its windows that are now."""

    id: UUID
    called: str
    """`tenant/day/usd`: what commands take instead of the id."""
    scope: Scope
    key: str
    """Which; `*`: each by itself; empty of the tenant."""
    key_name: str
    unit: Unit
    per: Per
    amount: Decimal
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str
    ended_at: datetime | None
    windows: list[WindowView]
    """Those that are now, the fullest first; of each run's, the newest runs'. One that nobody spent of is not there,
    where the budget is for each by itself."""
    more_windows: bool
    """There are more: `GET /v1/budgets/{id}` has them."""


class BudgetPage(View):
    """Budgets, newest first."""

    items: list[BudgetView]
    next: str | None
    time_zone: str
    """In which the tenant's days begin."""


class HoldingView(View):
    """What one step holds of a budget, or was taken to have used."""

    run: UUID
    task: str | None
    step: str
    attempt: int
    owner: str
    owner_name: str
    amount: Decimal
    at: datetime
    """When it was reserved."""
    estimated: bool
    """It was settled at its bound, as nobody knows what it used. False: it is held."""
    run_state: str | None
    """Null: the run is not there any more."""
    waiting_on: str | None


class OverrunView(View):
    """A step that used more than had been reserved for it."""

    run: UUID
    step: str
    attempt: int
    owner: str
    owner_name: str
    since: datetime | None
    reserved: Decimal
    used: Decimal
    over: Decimal
    at: datetime
    why: str


class AlertView(View):
    """What a window had come to."""

    id: UUID
    budget: UUID
    called: str
    owner: str
    owner_name: str
    since: datetime | None
    what: Literal["half", "most", "all", "forecast"]
    """`most` is four fifths; `all`: a step was refused, or would be; `forecast`: it will not last, if it goes on so."""
    at: datetime
    spent: Decimal
    amount: Decimal
    """What could be spent, then."""
    said: str
    """The same in words."""


class AlertPage(View):
    """Alerts, newest first."""

    items: list[AlertView]
    next: str | None


class BudgetReport(BudgetView):
    """A budget with earlier windows, who holds what of it, and what became of it. Each list has 200 at most."""

    all_windows: list[WindowView]
    """Newest first."""
    holdings: list[HoldingView]
    """What is held, the oldest first; then what was settled at its bound."""
    overruns: list[OverrunView]
    """Newest first."""
    alerts: list[AlertView]
    """Newest first."""


class ReservedView(View):
    """What a reservation holds of one budget."""

    budget: UUID
    called: str
    owner: str
    unit: Unit
    amount: Decimal


class ReservationView(View):
    """A reservation of which people may know better."""

    run: UUID
    task: str | None
    step: str
    attempt: int
    at: datetime
    estimated: bool
    """It was settled at its bound, as nobody knows what it used. False: a run that is not at work holds it."""
    run_state: str | None
    waiting_on: str | None
    amounts: list[ReservedView]


class DriftView(View):
    """A window whose held amount is not the sum of what is reserved of it: a fault of Holdfast."""

    budget: UUID
    called: str
    owner: str
    since: datetime | None
    held: Decimal
    reserved: Decimal


class ReconcileView(View):
    """Reservations to look into, and whether what is held is what is reserved."""

    items: list[ReservationView]
    next: str | None
    wrong: list[DriftView]
    """Of all budgets; 200 at most."""


class SettledView(View):
    """A reservation that was settled by better knowledge."""

    run: UUID
    step: str
    attempt: int


class TimeZoneView(View):
    """In which time zone a tenant's days begin."""

    time_zone: str


class BudgetWaitView(View):
    """The budget that a run waits for, as it stands now."""

    budget: UUID
    called: str
    window: WindowView
    holders: list[HoldingView] | None
    """Who holds how much of it, ten at most. Null for whoever may not read budgets."""
