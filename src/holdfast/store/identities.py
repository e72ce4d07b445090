"""Who an issuer of tokens means: its subjects, and the principals they are here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import dict_row

from holdfast.domain.principal import Principal
from holdfast.domain.rights import Role

if TYPE_CHECKING:
    from holdfast.identity.claims import Claims
    from holdfast.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A principal as an issuer's newest token described it, and as it stands now."""

    tenant: UUID
    issued_at: datetime
    """When the newest token that was seen of it was issued."""
    principal: UUID
    kind: str
    name: str
    disabled: bool
    roles: list[str]

    def owner(self) -> Principal:
        """The principal."""
        return Principal.recorded(
            self.tenant, self.principal, kind=self.kind, name=self.name, roles=self.roles, disabled=self.disabled
        )


@dataclass(frozen=True, slots=True)
class Unseen:
    """Nobody yet: the tenant that an issuer means, which knows no such subject."""

    tenant: UUID


async def find_identity(db: Database, tenant: str, issuer: str, subject: str) -> Identity | Unseen | None:
    """Whom an issuer means by a subject in the tenant of this name. None: there is no tenant to get into.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {"name": tenant, "issuer": issuer, "subject": subject}
    rows = await db.repeat(lambda: db.fetch(None, "find_identity", parameters, dict_row))
    if not rows:
        return None
    [row] = rows
    return Unseen(row["tenant"]) if row["principal"] is None else Identity(**row)


async def log_in(db: Database, tenant: UUID, new: UUID, claims: Claims, roles: frozenset[Role] | None) -> bool:
    """Take in what a token says: a principal `new` at the first, changes of name and roles at later ones.

    False: the tenant may have no more principals.

    Raises:
        DatabaseUnavailable: the database was away for as long as `db` waits.
    """
    parameters = {
        "tenant": tenant,
        "new": new,
        "issuer": claims.issuer,
        "subject": claims.subject,
        "kind": claims.kind.value,
        "name": claims.name or claims.subject,
        "email": claims.email,
        "roles": None if roles is None else sorted(role.value for role in roles),
        "issued_at": claims.issued_at,
    }
    return await db.value("log_in", parameters, tenant=tenant)
