"""Tenants, as the platform manages them: from its own tenant, without a look into any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from holdfast.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRow:
    """One tenant."""

    id: UUID
    name: str
    state: Literal["active", "suspended"]
    created_at: datetime


async def create_tenant(db: Database, tenant: UUID, *, name: str, by: str) -> Literal["created", "taken"]:
    """Create a tenant; `taken` when another has this name. All of these raise as `Database.repeat`."""
    parameters = {"id": tenant, "name": name, "by": by}
    outcome = await db.value("create_tenant", parameters, tenant=PLATFORM_TENANT)
    return "created" if outcome == "repeated" else outcome


async def list_tenants(
    db: Database,
    *,
    id: UUID | None = None,  # noqa: A002 - the column's name
    after: str | None = None,
    limit: int = 50,
) -> Sequence[TenantRow]:
    """Tenants by name, from behind the name `after`."""
    parameters = {"id": id, "after": after, "limit": limit}
    return await db.repeat(lambda: db.fetch(PLATFORM_TENANT, "list_tenants", parameters, class_row(TenantRow)))


async def get_tenant(db: Database, tenant: UUID) -> TenantRow | None:
    """One tenant, or None."""
    rows = await list_tenants(db, id=tenant, limit=1)
    return rows[0] if rows else None


async def find_tenant(db: Database, name: str) -> UUID | None:
    """The tenant of this name, or None."""
    return await db.value("find_tenant", {"name": name}, tenant=PLATFORM_TENANT)
