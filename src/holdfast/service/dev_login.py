"""The login of `holdfast dev`: three people to be, and a link that works once.

Ann is a user, Ben and Cy are administrators, so that whatever needs other people can be tried alone. Only the embedded
installation has them: on a database that others use nobody gets in by a link on a developer's screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from holdfast.domain.errors import Unauthenticated
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.principal import PrincipalKind, Who
from holdfast.domain.rights import Role, Scope, rights_of
from holdfast.identity.api_keys import ApiKey
from holdfast.service.manage_keys import create_key
from holdfast.service.manage_principals import invite_principal
from holdfast.service.services import Services
from holdfast.store import keys, principals

PEOPLE: dict[str, tuple[Role, ...]] = {"Ann": (Role.USER,), "Ben": (Role.ADMIN,), "Cy": (Role.ADMIN,)}
_DOORMAN = "dev-login"
"""Whose keys the links are. It has no role, so a link is good for nothing but to be exchanged."""
_ME = Who(DEFAULT_TENANT, "dev", rights_of([Role.ADMIN]))
LINK_S = 3600
STAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in, once."""

    ticket: str
    """For the link: exchanged once, within the hour."""
    key: str
    """Ann's, for a day."""


async def prepare(services: Services) -> Access:
    """See to it that the people are there, and make a link and a key."""
    for name, roles in PEOPLE.items():
        await _principal(services, name, roles)
    ticket = await _key(services, await _principal(services, _DOORMAN, ()), LINK_S, scopes=[])
    return Access(ticket, await _key(services, await _principal(services, "Ann", ()), STAY_S))


async def enter(services: Services, ticket: str, name: str) -> str:
    """Exchange a ticket for a key of one of the people.

    Raises:
        Unauthenticated: it is none, has ended, or was exchanged before.
    """
    key = ApiKey.read(ticket)
    found = None if key is None else await keys.find_key(services.db, DEFAULT_TENANT, key.digest)
    if name not in PEOPLE or found is None or found.name != _DOORMAN or found.expired:
        raise Unauthenticated("unknown")
    if await keys.end_key(services.db, DEFAULT_TENANT, found.id, by="dev") != "changed":
        raise Unauthenticated("revoked")
    return await become(services, name)


async def become(services: Services, name: str) -> str:
    """A key of one of the people, for somebody who is in.

    Raises:
        Unauthenticated: it is none of them.
    """
    if name not in PEOPLE:
        raise Unauthenticated("unknown")
    return await _key(services, await _principal(services, name, PEOPLE[name]), STAY_S)


async def _principal(services: Services, name: str, roles: tuple[Role, ...]) -> UUID:
    rows = await principals.list_principals(services.db, DEFAULT_TENANT, name=name, limit=1)
    if rows:
        return rows[0].id
    kind = PrincipalKind.PERSON if name in PEOPLE else PrincipalKind.SERVICE
    return (await invite_principal(services, _ME, name, kind=kind, roles=roles)).id


async def _key(services: Services, principal: UUID, seconds: float, scopes: list[Scope] | None = None) -> str:
    ends = services.now() + timedelta(seconds=seconds)
    return (await create_key(services, _ME, principal=principal, name="dev", scopes=scopes, expires_at=ends)).once()
