"""Tenants, as the platform manages them: from its own tenant, without a look into any other."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.store.idempotency import Idempotency, NoKey

if TYPE_CHECKING:
    from holdfast.store.pool import Database


TenantState = Literal["active", "suspended", "deleting", "importing"]
_HEADS = 10_000
_BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRow:
    """One tenant."""

    id: UUID
    name: str
    state: TenantState
    created_at: datetime
    max_principals: int | None
    max_runs: int | None
    max_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Founder:
    """The first administrator of a tenant, and their key."""

    id: UUID
    name: str
    key: UUID
    key_name: str
    digest: bytes


async def found_tenant(
    db: Database, tenant: UUID, *, name: str, founder: Founder, by: str, idempotency: Idempotency | None = None
) -> Literal["created", "asked_before", "taken"]:
    """Create a tenant with its first administrator and that one's key, all or nothing.

    `taken`: another has this name. `asked_before`: a request with this idempotency key came before. All of these raise
    as `Database.repeat`.
    """
    parameters = {
        "id": tenant,
        "name": name,
        "admin": founder.id,
        "admin_name": founder.name,
        "key_id": founder.key,
        "key_name": founder.key_name,
        "digest": founder.digest,
        "by": by,
        **(idempotency or NoKey())._asdict(),
    }
    outcome = await db.value("found_tenant", parameters, tenant=PLATFORM_TENANT)
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


async def suspend_tenant(
    db: Database, tenant: UUID, *, suspended: bool, reason: str, by: str
) -> Literal["changed", "unchanged", "absent"]:
    """Suspend a tenant, or let it go on."""
    parameters = {"tenant": tenant, "suspended": suspended, "reason": reason, "by": by}
    return await db.value("suspend_tenant", parameters, tenant=PLATFORM_TENANT)


async def set_quotas(
    db: Database, tenant: UUID, most: Mapping[str, int | None], *, only: Sequence[str] | None = None, by: str
) -> bool:
    """Set what a tenant may have at most, of `principals`, `runs` and `bytes`. False: there is no such tenant.

    What `most` does not name has no limit any more; where `only` is given, the quotas it does not name stay.
    """
    none = {"principals": None, "runs": None, "bytes": None}
    parameters = {"tenant": tenant, **none, **most, "only": None if only is None else list(only), "by": by}
    return await db.value("set_quotas", parameters, tenant=PLATFORM_TENANT)


async def doom_tenant(db: Database, tenant: UUID, *, by: str) -> Literal["deleting", "active", "absent"]:
    """Begin to delete a suspended tenant; `active`: it has to be suspended first."""
    return await db.value("doom_tenant", {"tenant": tenant, "by": by}, tenant=PLATFORM_TENANT)


async def run_heads(db: Database, tenant: UUID) -> AsyncGenerator[tuple[UUID, int, bytes], None]:
    """Where the journals of a tenant end: run, sequence and head, by the ids of runs."""
    after = None
    while True:
        parameters = {"tenant": tenant, "after": after, "limit": _HEADS}
        rows = await db.repeat(lambda given=parameters: db.fetch(tenant, "run_heads", given))
        for run, seq, head in rows:
            yield run, seq, head
            after = run
        if len(rows) < _HEADS:
            return


async def keep_evidence(db: Database, tenant: UUID) -> None:
    """Keep how many runs a tenant that is being deleted has, and the SHA-256 over where their journals end.

    Id, sequence and head, by id. Once: a second call, when rows are gone already, changes nothing.
    """
    count, digest = 0, hashlib.sha256()
    async for run, seq, head in run_heads(db, tenant):
        digest.update(run.bytes + seq.to_bytes(8, "big") + head)
        count += 1
    parameters = {"tenant": tenant, "count": count, "heads": digest.hexdigest()}
    await db.value("keep_evidence", parameters, tenant=PLATFORM_TENANT)


async def delete_rows(db: Database, tenant: UUID) -> None:
    """Delete all rows of a tenant that is being deleted, in batches that are counted in its evidence."""
    while await db.value("delete_rows", {"tenant": tenant, "limit": _BATCH}, tenant=tenant):
        pass


async def bury_tenant(db: Database, tenant: UUID, *, by: str) -> str | None:
    """End a deletion: the tenant's row goes, the evidence (JSON) comes into the platform's log and is returned.

    None: no such tenant was deleted.
    """
    return await db.value("bury_tenant", {"tenant": tenant, "by": by}, tenant=PLATFORM_TENANT)
