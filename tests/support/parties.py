"""Tenants and their people, made through the interface and asking through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2

from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role
from holdfast.store.pool import Database
from holdfast.store.principals import create_principal
from support.credentials import bearer


@dataclass
class Parties:
    """Those who ask one API."""

    api: str
    platform: httpx2.AsyncClient
    """Somebody who manages tenants."""
    _stack: AsyncExitStack

    async def using(self, secret: str) -> httpx2.AsyncClient:
        """A client with this key."""
        return await self._client({"Authorization": f"Bearer {secret}"})

    async def tenant(self, name: str) -> httpx2.AsyncClient:
        """A new tenant's administrator."""
        made = await self.platform.post("/v1/tenants", json={"name": name, "admin": "Ada"})
        assert made.status_code == 201, made.text
        return await self.using(made.json()["key"]["secret"])

    async def person(self, admin: httpx2.AsyncClient, name: str, *roles: str) -> tuple[str, httpx2.AsyncClient]:
        """Somebody of the administrator's tenant."""
        made = await admin.post("/v1/principals", json={"name": name, "roles": list(roles)})
        assert made.status_code == 201, made.text
        key = await admin.post("/v1/keys", json={"principal": made.json()["id"]})
        assert key.status_code == 201, key.text
        return made.json()["id"], await self.using(key.json()["secret"])

    async def _client(self, headers: dict[str, Any]) -> httpx2.AsyncClient:
        client = httpx2.AsyncClient(base_url=self.api, timeout=60, headers=headers)
        return await self._stack.enter_async_context(client)


@asynccontextmanager
async def gathered(api: str, api_url: str) -> AsyncIterator[Parties]:
    """Nobody but the one who manages tenants, as yet."""
    operator = uuid4()
    async with Database.open(api_url, role="api", max_size=1) as db:
        await create_principal(
            db, PLATFORM_TENANT, operator, kind=PrincipalKind.PERSON, name="Pat", roles=[Role.PLATFORM], by="test"
        )
        header = await bearer(db, PLATFORM_TENANT, operator)
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(httpx2.AsyncClient(base_url=api, timeout=60, headers=header))
        yield Parties(api, platform, stack)
