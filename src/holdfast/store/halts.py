"""Stops: once one is declared, no intent that it covers commits. Facts still do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import UUID

if TYPE_CHECKING:
    from holdfast.store.pool import Database

HaltScope = Literal["tenant", "task", "run"]


async def declare_halt(db: Database, tenant: UUID, scope: HaltScope, key: str, *, reason: str, by: str) -> bool:
    """Stop a tenant (`key` is empty), a task or a run. When this returns, no intent it covers can commit any more.

    False when it was in force already.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"tenant": tenant, "scope": scope, "key": key, "reason": reason, "by": by}
    return await db.value("declare_halt", parameters, tenant=tenant)


async def lift_halt(db: Database, tenant: UUID, scope: HaltScope, key: str) -> bool:
    """Lift a stop. False when none was in force.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    return await db.value("lift_halt", {"tenant": tenant, "scope": scope, "key": key}, tenant=tenant)
