"""API keys as rows: their digests, what they are narrowed to, and when they end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.principal import Principal
from holdfast.domain.rights import Scope
from holdfast.store.idempotency import Idempotency, NoKey

if TYPE_CHECKING:
    from holdfast.store.pool import Database

_SCOPES = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key, without its secret: that is stored nowhere."""

    id: UUID
    principal: UUID
    name: str
    scopes: list[str] | None
    """What it is narrowed to; None where it may whatever its principal may."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    """When it was last used, to the minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key that was presented, with its principal as it stands now."""

    id: UUID
    scopes: list[str] | None
    revoked: bool
    expired: bool | None
    untouched: bool
    """Whether its use has not been noted for a minute."""
    principal: UUID
    kind: str
    name: str
    disabled: bool
    roles: list[str]

    def owner(self, tenant: UUID) -> Principal:
        """Its principal."""
        return Principal.recorded(
            tenant, self.principal, kind=self.kind, name=self.name, roles=self.roles, disabled=self.disabled
        )

    def narrowed(self) -> list[Scope] | None:
        """Its scopes. One that this release does not know gives nothing."""
        return None if self.scopes is None else [_SCOPES[one] for one in self.scopes if one in _SCOPES]


async def create_key(
    db: Database,
    tenant: UUID,
    key: UUID,
    *,
    principal: UUID,
    name: str,
    digest: bytes,
    scopes: Iterable[Scope] | None,
    expires_at: datetime | None,
    by: str,
    replaces: UUID | None = None,
    overlap_until: datetime | None = None,
    idempotency: Idempotency | None = None,
) -> Literal["created", "asked_before", "absent", "ended"]:
    """Create a key, perhaps as the successor of one that ends at `overlap_until`.

    `absent`: there is no such principal. `ended`: the key to replace has ended. `asked_before`: a request with this
    idempotency key came before. All of these raise as `Database.repeat`.
    """
    parameters = {
        "tenant": tenant,
        "id": key,
        "principal": principal,
        "name": name,
        "digest": digest,
        "scopes": None if scopes is None else sorted(scope.value for scope in scopes),
        "expires_at": expires_at,
        "by": by,
        "replaces": replaces,
        "overlap_until": overlap_until,
        **(idempotency or NoKey())._asdict(),
    }
    outcome = await db.value("create_key", parameters, tenant=tenant)
    return "created" if outcome == "repeated" else outcome


async def end_key(
    db: Database, tenant: UUID, key: UUID, *, by: str, at: datetime | None = None
) -> Literal["changed", "unchanged", "absent"]:
    """End a key: at once, or at a time. One that ends earlier stays so."""
    return await db.value("end_key", {"tenant": tenant, "key": key, "at": at, "by": by}, tenant=tenant)


async def find_key(db: Database, tenant: UUID, digest: bytes) -> FoundKey | None:
    """The key of this digest, in force or not. Its use is noted."""
    parameters = {"tenant": tenant, "digest": digest}
    rows = await db.repeat(lambda: db.fetch(tenant, "find_key", parameters, class_row(FoundKey)))
    if not rows:
        return None
    found = rows[0]
    if found.untouched and not found.revoked and not found.expired:
        await db.fetch(tenant, "touch_key", {"tenant": tenant, "key": found.id})
    return found


async def list_keys(
    db: Database,
    tenant: UUID,
    *,
    id: UUID | None = None,  # noqa: A002 - the column's name
    principal: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[KeyRow]:
    """Keys, newest first, from behind a place `(created_at, id)`."""
    at, id_ = before or (None, None)
    parameters = {
        "tenant": tenant,
        "id": id,
        "principal": principal,
        "before_at": at,
        "before_id": id_,
        "limit": limit,
    }
    return await db.repeat(lambda: db.fetch(tenant, "list_keys", parameters, class_row(KeyRow)))
