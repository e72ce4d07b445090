"""The limits of a tenant: what each of its runs may do at most. By the names of what is counted, as a run's own are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.types.json import Jsonb

from holdfast.domain.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from holdfast.store.pool import Database


async def get_ceilings(db: Database, tenant: UUID) -> dict[str, int]:
    """The limits of a tenant's runs. Raises as `Database.repeat`, as all of these."""
    return await db.value("get_ceilings", {"tenant": tenant}, tenant=tenant)


async def set_ceilings(
    db: Database, tenant: UUID, put: Mapping[str, int], *, drop: Sequence[str] | None = None, by: str
) -> dict[str, int]:
    """Set all of them, or, where `drop` is given, take away what it names and put these in. Answers with all."""
    parameters = {"tenant": tenant, "put": Jsonb(dict(put)), "drop": None if drop is None else list(drop), "by": by}
    return await db.value("set_ceilings", parameters, tenant=tenant)


async def limit_tenant(db: Database, tenant: UUID, put: Mapping[str, int], *, by: str) -> bool:
    """Set all of a tenant's, as the platform. False: there is no such tenant."""
    parameters = {"tenant": tenant, "put": Jsonb(dict(put)), "by": by}
    return await db.value("limit_tenant", parameters, tenant=PLATFORM_TENANT)
