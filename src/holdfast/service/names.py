"""What people call a principal. Journals and rows name it by its id, which says nothing about anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from holdfast.service.services import Services
from holdfast.store.principals import names_of as look_up


async def names_of(services: Services, tenant: UUID, actors: Iterable[str]) -> Mapping[str, str]:
    """The names of those actors who are principals; the others are called by what they are recorded as."""
    wanted = {actor: _id(actor) for actor in actors}
    found = await look_up(services.db, tenant, [id_ for id_ in wanted.values() if id_ is not None])
    return {actor: found.get(actor, actor) for actor in wanted}


async def name_of(services: Services, tenant: UUID, actor: str) -> str:
    """The name of one actor."""
    return (await names_of(services, tenant, [actor]))[actor]


def _id(actor: str) -> UUID | None:
    try:
        return UUID(actor)
    except ValueError:
        return None
