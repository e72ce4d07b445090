"""Principals, and who is asking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from uuid import UUID

from holdfast.domain.errors import MissingScope
from holdfast.domain.rights import Reach, Rights, Role, Scope, rights_of


class PrincipalKind(StrEnum):
    """What acts."""

    PERSON = "person"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person or service of a tenant, as they stood when they were looked up."""

    tenant: UUID
    id: UUID
    kind: PrincipalKind
    name: str
    roles: frozenset[Role]
    disabled: bool = False

    @classmethod
    def recorded(cls, tenant: UUID, id_: UUID, *, kind: str, name: str, roles: Iterable[str], disabled: bool) -> Self:
        """One as its row says."""
        return cls(
            tenant=tenant,
            id=id_,
            kind=PrincipalKind(kind),
            name=name,
            roles=frozenset(map(Role, roles)),
            disabled=disabled,
        )

    @property
    def rights(self) -> Rights:
        """What they may do now; nothing once disabled."""
        return rights_of(() if self.disabled else self.roles)


ACTING_AS = " as "
"""Between whoever acts and the principal they act as."""


@dataclass(frozen=True, slots=True)
class Who:
    """A principal that asks for something, with what its credential lets it do."""

    tenant: UUID
    principal: str
    """The principal's id, as journals name it."""
    rights: Rights
    narrowed: bool = False
    """Whether the credential may less than its principal."""
    roles: frozenset[Role] = frozenset()
    through: str = ""
    """Who acts as this principal by holding the database, as `os:root`; empty where it is the principal itself."""

    @property
    def actor(self) -> str:
        """How the audit log calls them: by id, and after whoever acts as them: `os:root as 0198...`."""
        return f"{self.through}{ACTING_AS}{self.principal}" if self.through else self.principal

    @classmethod
    def of(cls, principal: Principal, scopes: Iterable[Scope] | None = None) -> Self:
        """This principal, by a credential that is narrowed to `scopes`, or is not."""
        held = frozenset[Role]() if principal.disabled else principal.roles
        return cls(principal.tenant, str(principal.id), rights_of(held, scopes), scopes is not None, held)

    def reach(self, scope: Scope) -> Reach:
        """How far this scope reaches.

        Raises:
            MissingScope: it is not held.
        """
        found = self.rights.get(scope)
        if found is None:
            raise MissingScope.of(scope)
        return found

    def only(self, scope: Scope) -> str | None:
        """Whose rows this scope lets see or touch: their own principal's, or None for all of the tenant's.

        Raises:
            MissingScope: it is not held.
        """
        return self.principal if self.reach(scope) is Reach.OWN else None
