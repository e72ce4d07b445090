"""The people and services of a tenant, and their roles. Every change is in the audit log with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from psycopg.rows import class_row

from holdfast.domain.principal import Principal, PrincipalKind
from holdfast.domain.rights import Role
from holdfast.store.idempotency import Idempotency, NoKey

if TYPE_CHECKING:
    from holdfast.store.pool import Database

Change = Literal["changed", "unchanged", "absent", "last_admin", "too_many"]
"""What became of a change. `last_admin`: it would have left the tenant without anybody who may manage it.
`too_many`: more would be enabled than it may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalRow:
    """One principal with its roles."""

    tenant: UUID
    id: UUID
    kind: PrincipalKind
    name: str
    email: str | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    roles: frozenset[Role]

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", PrincipalKind(self.kind))
        object.__setattr__(self, "roles", frozenset(map(Role, self.roles)))

    def principal(self) -> Principal:
        """As the domain knows it."""
        return Principal(
            tenant=self.tenant,
            id=self.id,
            kind=self.kind,
            name=self.name,
            roles=self.roles,
            disabled=self.disabled_at is not None,
        )


async def create_principal(
    db: Database,
    tenant: UUID,
    principal: UUID,
    *,
    kind: PrincipalKind,
    name: str,
    roles: Iterable[Role],
    by: str,
    email: str | None = None,
    idempotency: Idempotency | None = None,
) -> Literal["created", "asked_before", "taken", "too_many"]:
    """Create a principal; `taken` when another of the tenant has its name, `too_many` when it may have no more.

    `asked_before`: a request with this idempotency key came before. All of these raise as `Database.repeat`.
    """
    parameters = {
        "tenant": tenant,
        "principal": principal,
        "kind": kind.value,
        "name": name,
        "email": email,
        "roles": sorted(role.value for role in roles),
        "by": by,
        **(idempotency or NoKey())._asdict(),
    }
    outcome = await db.value("create_principal", parameters, tenant=tenant)
    return "created" if outcome == "repeated" else outcome


async def grant_role(db: Database, tenant: UUID, principal: UUID, role: Role, *, by: str) -> Change:
    """Give a principal a role, from now on."""
    return await _change(db, tenant, "grant_role", {"principal": principal, "role": role.value, "by": by})


async def revoke_role(db: Database, tenant: UUID, principal: UUID, role: Role, *, by: str) -> Change:
    """Take a role from a principal: what it runs notices before its next effect."""
    return await _change(db, tenant, "revoke_role", {"principal": principal, "role": role.value, "by": by})


async def set_disabled(db: Database, tenant: UUID, principal: UUID, *, disabled: bool, by: str) -> Change:
    """Disable a principal, or enable it again: what it runs notices before its next effect."""
    return await _change(db, tenant, "set_disabled", {"principal": principal, "disabled": disabled, "by": by})


async def list_principals(
    db: Database,
    tenant: UUID,
    *,
    id: UUID | None = None,  # noqa: A002 - the column's name
    name: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Sequence[PrincipalRow]:
    """Principals by name, from behind the name `after`."""
    parameters = {"tenant": tenant, "id": id, "name": name, "after": after, "limit": limit}
    return await db.repeat(lambda: db.fetch(tenant, "list_principals", parameters, class_row(PrincipalRow)))


async def get_principal(db: Database, tenant: UUID, principal: UUID) -> PrincipalRow | None:
    """One principal as it stands, or None."""
    rows = await list_principals(db, tenant, id=principal, limit=1)
    return rows[0] if rows else None


async def names_of(db: Database, tenant: UUID, principals: Sequence[UUID]) -> Mapping[str, str]:
    """Names by id, of those there are."""
    if not principals:
        return {}
    return dict(await db.repeat(lambda: db.fetch(tenant, "names_of", {"tenant": tenant, "ids": list(principals)})))


async def _change(db: Database, tenant: UUID, name: str, parameters: Mapping[str, object]) -> Change:
    return await db.value(name, {"tenant": tenant, **parameters}, tenant=tenant)
