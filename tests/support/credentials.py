"""Credentials of an installation under test."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7

from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.identity.api_keys import ApiKey
from holdfast.store.keys import create_key
from holdfast.store.pool import Database


async def bearer(db: Database, tenant: UUID = DEFAULT_TENANT, principal: UUID = LOCAL_PRINCIPAL) -> dict[str, str]:
    """The header of a new key of this principal."""
    key = ApiKey.generate(tenant)
    what = {"name": "test", "digest": key.digest, "scopes": None, "expires_at": None, "by": "test"}
    made = await create_key(db, tenant, uuid7(), principal=principal, **what)
    assert made == "created"
    return {"Authorization": f"Bearer {key.text}"}


async def local_bearer(api_url: str) -> dict[str, str]:
    """The header of a new key of the local administrator."""
    async with Database.open(api_url, role="api", max_size=1) as db:
        return await bearer(db)


def admin(tenant: UUID, principal: str = "somebody") -> Who:
    """An administrator of this tenant, by what it says of itself."""
    return Who(tenant, principal, rights_of([Role.ADMIN]))
