"""Tenants, principals and keys as readers get them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import Field

from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Reach, Role, Scope
from holdfast.service.views import View

ReachName = Literal["own", "tenant"]
"""How far a scope reaches: their own sessions and runs, or all of the tenant's."""


class Quotas(View):
    """What a tenant may have at most; null is no limit."""

    principals: int | None = Field(None, ge=0)
    runs: int | None = Field(None, ge=0)
    """Runs that have not ended."""
    bytes: int | None = Field(None, ge=0)
    """Content, events and messages, measured once a minute."""


LimitsAsWritten: TypeAlias = dict[str, int | str]
"""By the names of limits, as a request names its own: money in dollars, times in seconds, amounts in full."""


class TenantLimitsView(View):
    """What each run of a tenant may do at most."""

    limits: LimitsAsWritten


class TenantView(View):
    """One tenant."""

    id: UUID
    name: str
    state: Literal["active", "suspended", "deleting", "importing"]
    created_at: datetime
    quotas: Quotas


class DeletedTenantView(View):
    """What is left of a tenant: the evidence of its deletion."""

    id: UUID
    name: str
    runs: int
    heads_sha256: str
    """SHA-256 over id, sequence (8 bytes, big-endian) and head of every run, in the order of their ids."""
    rows: dict[str, int]
    """How many rows of each table were deleted."""


class TenantPage(View):
    """Tenants by name."""

    items: list[TenantView]
    next: str | None


class PrincipalView(View):
    """A person or service of the tenant."""

    id: UUID
    kind: PrincipalKind
    name: str
    email: str | None
    roles: list[Role]
    disabled: bool
    created_at: datetime


class PrincipalPage(View):
    """Principals by name."""

    items: list[PrincipalView]
    next: str | None


class KeyView(View):
    """An API key, without its secret: that was shown once and is stored nowhere."""

    id: UUID
    principal: UUID
    name: str
    scopes: list[str] | None
    """What it is narrowed to; null where it may whatever its principal may."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    """When it was last used, to the minute."""


class NewKeyView(KeyView):
    """A key that was just made."""

    secret: str | None
    """The key itself, shown this once: send it as `Authorization: Bearer`. Null where the request had come before."""

    def once(self) -> str:
        """The key itself, of one that was made by this very request."""
        assert self.secret is not None, "only a request that is repeated makes no key"
        return self.secret


class KeyPage(View):
    """Keys, newest first."""

    items: list[KeyView]
    next: str | None


class NewTenantView(TenantView):
    """A tenant that was just made, with its first administrator. Where the request had come before, without."""

    admin: PrincipalView | None
    key: NewKeyView | None

    def founded(self) -> tuple[PrincipalView, str]:
        """The first administrator and their key, of a tenant that was made by this very request."""
        assert self.admin is not None, "only a request that is repeated makes nobody"
        assert self.key is not None
        return self.admin, self.key.once()


class MeView(View):
    """Who asks, and what they may."""

    tenant: UUID
    principal: PrincipalView
    rights: dict[Scope, ReachName]


class AuditView(View):
    """One entry of the audit log."""

    at: datetime
    id: UUID
    actor: str
    action: str
    target: str
    details: dict[str, Any]


class AuditPage(View):
    """Entries, newest first."""

    items: list[AuditView]
    next: str | None


def reach_name(reach: Reach) -> ReachName:
    """How a reach is written."""
    return "own" if reach is Reach.OWN else "tenant"
