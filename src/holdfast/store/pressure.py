"""How full the budgets of a run are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from holdfast.store.pool import Database


class Pressure(NamedTuple):
    """The fullest budget."""

    budget: UUID
    percent: int
    """Of it that is spent or reserved."""


async def budget_pressure(
    db: Database, tenant: UUID, run: UUID, feature: str, models: Sequence[str]
) -> Pressure | None:
    """The fullest of the budgets that the run's next request counts towards; None where there is none.

    Args:
        db: the database.
        tenant: of the run.
        run: which.
        feature: the run's label of that name.
        models: that the request may go to, each with its provider's name and a colon in front.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "run": run, "feature": feature, "models": list(models)}
    rows = await db.repeat(lambda: db.fetch(tenant, "budget_pressure", parameters, class_row(Pressure)))
    return rows[0] if rows else None
