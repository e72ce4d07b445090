"""Budgets as people set, raise and read them. What runs reserve and use of them is written by `append`.

All of these raise `DatabaseUnavailable` where the database was away for as long as `db` waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from psycopg.rows import class_row

from holdfast.store.budget_rows import (
    AlertRow,
    BudgetRow,
    Called,
    DriftRow,
    HoldingRow,
    OverrunRow,
    ToldAlert,
    UnsettledRow,
    WindowRow,
)
from holdfast.store.idempotency import Idempotency

if TYPE_CHECKING:
    from holdfast.store.pool import Database

Place: TypeAlias = tuple[UUID, UUID, str]
"""A window of a budget of each run: tenant, budget, owner."""


async def set_budget(
    db: Database, tenant: UUID, id_: UUID, called: Called, amount: int, *, by: str
) -> tuple[UUID, int | None]:
    """Set what may be spent from now on. The budget, new or that there was, and its amount before; None: it is new."""
    parameters = {"tenant": tenant, "id": id_, **called._asdict(), "amount": amount, "by": by}
    [(budget, before)] = await db.repeat(lambda: db.fetch(tenant, "set_budget", parameters))
    # Where the answer to the first attempt was lost, it is this very one that is found.
    return budget, None if budget == id_ else before


async def end_budget(db: Database, tenant: UUID, budget: UUID, *, by: str) -> bool:
    """End a budget. False: there is none of this id in force."""
    return await db.value("end_budget", {"tenant": tenant, "id": budget, "by": by}, tenant=tenant)


async def raise_budget(
    db: Database,
    tenant: UUID,
    budget: UUID,
    owner: str,
    more: int,
    *,
    reason: str,
    by: str,
    idempotency: Idempotency,
) -> Literal["raised", "absent", "asked_before"]:
    """Raise a budget for the window that is now, of one owner. Once, however often it is asked for by the same key."""
    parameters = {
        "tenant": tenant, "id": budget, "owner": owner, "more": more, "reason": reason, "by": by,
        **idempotency._asdict(),
    }  # fmt: skip
    return await db.value("raise_budget", parameters, tenant=tenant)


async def correct_reservation(
    db: Database,
    tenant: UUID,
    run: UUID,
    step: str,
    attempt: int,
    *,
    usd_micros: int | None,
    tokens: int | None,
    requests: int | None,
    reason: str,
    by: str,
) -> Literal["settled", "under_way", "absent"]:
    """Settle a reservation by better knowledge; None where nothing better is known of a unit."""
    parameters = {
        "tenant": tenant, "run": run, "step": step, "attempt": attempt, "usd": usd_micros, "tokens": tokens,
        "requests": requests, "reason": reason, "by": by,
    }  # fmt: skip
    return await db.value("correct_reservation", parameters, tenant=tenant)


async def set_time_zone(db: Database, tenant: UUID, zone: str, *, by: str) -> bool:
    """Say where a tenant's days begin. False: PostgreSQL knows no such zone."""
    return await db.value("set_time_zone", {"tenant": tenant, "zone": zone, "by": by}, tenant=tenant)


async def get_time_zone(db: Database, tenant: UUID) -> str:
    """Where a tenant's days begin."""
    return await db.value("get_time_zone", {"tenant": tenant}, tenant=tenant)


async def list_budgets(
    db: Database,
    tenant: UUID,
    *,
    id_: UUID | None = None,
    called: Called | None = None,
    in_force: bool = False,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> Sequence[BudgetRow]:
    """Budgets, newest first."""
    before_at, before_id = before or (None, None)
    parameters = {
        "tenant": tenant, "id": id_, "called": None if called is None else list(called), "in_force": in_force,
        "before_at": before_at, "before_id": before_id, "limit": limit,
    }  # fmt: skip
    return await db.repeat(lambda: db.fetch(tenant, "list_budgets", parameters, class_row(BudgetRow)))


async def list_current_windows(
    db: Database, tenant: UUID, budgets: Collection[UUID], *, each: int
) -> Sequence[WindowRow]:
    """The windows that are now, at most so many of each budget: the fullest; of each run's, the newest runs'."""
    parameters = {"tenant": tenant, "ids": list(budgets), "each": each}
    return await db.repeat(lambda: db.fetch(tenant, "list_current_windows", parameters, class_row(WindowRow)))


async def list_budget_windows(
    db: Database, tenant: UUID, budget: UUID, *, owner: str | None = None, limit: int
) -> Sequence[WindowRow]:
    """Windows of a budget, earlier ones too, newest first."""
    parameters = {"tenant": tenant, "id": budget, "owner": owner, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_budget_windows", parameters, class_row(WindowRow)))


async def list_holdings(
    db: Database, tenant: UUID, budget: UUID, *, owner: str | None = None, limit: int
) -> Sequence[HoldingRow]:
    """What is held of a budget, the oldest first, then what was settled at its bound."""
    parameters = {"tenant": tenant, "id": budget, "owner": owner, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_holdings", parameters, class_row(HoldingRow)))


async def list_unsettled(
    db: Database, tenant: UUID, *, after: tuple[UUID, str, int] | None = None, limit: int
) -> Sequence[UnsettledRow]:
    """Reservations that were settled at their bound, or are held by a run that is not at work."""
    run, step, attempt = after or (None, None, None)
    parameters = {"tenant": tenant, "after": run, "step": step, "attempt": attempt, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_unsettled", parameters, class_row(UnsettledRow)))


async def list_overruns(
    db: Database, tenant: UUID, budget: UUID, *, owner: str | None = None, limit: int
) -> Sequence[OverrunRow]:
    """What used more of a budget than had been reserved for it, newest first."""
    parameters = {"tenant": tenant, "id": budget, "owner": owner, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_overruns", parameters, class_row(OverrunRow)))


async def list_budget_alerts(
    db: Database,
    tenant: UUID,
    *,
    budget: UUID | None = None,
    owner: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> Sequence[AlertRow]:
    """Alerts, newest first."""
    before_at, before_id = before or (None, None)
    parameters = {
        "tenant": tenant, "id": budget, "owner": owner, "before_at": before_at, "before_id": before_id, "limit": limit,
    }  # fmt: skip
    return await db.repeat(lambda: db.fetch(tenant, "list_budget_alerts", parameters, class_row(AlertRow)))


async def check_budgets(db: Database, tenant: UUID, *, limit: int) -> Sequence[DriftRow]:
    """Windows whose held amount is not the sum of what is reserved of them, but for those over a while ago."""
    parameters = {"tenant": tenant, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "check_budgets", parameters, class_row(DriftRow)))


async def tell_alerts(db: Database, limit: int) -> Sequence[ToldAlert]:
    """Alerts of any tenant that no worker has logged yet. Each is answered once; what is lost is in no log."""
    return await db.repeat(lambda: db.fetch(None, "tell_alerts", {"limit": limit}, class_row(ToldAlert)))


async def sweep_windows(db: Database, after: Place | None, limit: int) -> tuple[int, Place | None]:
    """Look at the next so many windows of budgets of each run, of any tenant, and remove those whose run is long over.

    Args:
        db: of a worker.
        after: where to go on; None: at the beginning.
        limit: how many to look at.

    Returns: how many are gone, and where to go on; None at the end, or while another worker is at it.
    """
    tenant, budget, owner = after or (None, None, None)
    parameters = {"after": tenant, "budget": budget, "owner": owner, "limit": limit}
    [(removed, *place)] = await db.repeat(lambda: db.fetch(None, "sweep_windows", parameters))
    return removed, None if place[0] is None else (place[0], place[1], place[2])
