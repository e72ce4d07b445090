"""What people call a principal. Journals and rows name it by its id, which says nothing about anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from holdfast.domain.principal import ACTING_AS
from holdfast.service.services import Services
from holdfast.store.principals import names_of as look_up


async def names_of(services: Services, tenant: UUID, actors: Iterable[str]) -> Mapping[str, str]:
    """The names of those actors who are principals; the others are called by what they are recorded as.

    Of somebody who acted as a principal, both are told: `os:root as Ada`. A name that reads as an actor of another kind
    is in quotes: whoever chooses what they are called cannot be taken for the platform.
    """
    wanted = {actor: actor.rpartition(ACTING_AS) for actor in actors}
    ids = [id_ for *_, last in wanted.values() if (id_ := _id(last)) is not None]
    found = {id_: _as_name(name) for id_, name in (await look_up(services.db, tenant, ids)).items()}
    return {actor: f"{by}{as_}{found.get(last, last)}" for actor, (by, as_, last) in wanted.items()}


async def name_of(services: Services, tenant: UUID, actor: str) -> str:
    """The name of one actor."""
    return (await names_of(services, tenant, [actor]))[actor]


def _as_name(name: str) -> str:
    return f"'{name}'" if ":" in name or _id(name) is not None else name


def _id(actor: str) -> UUID | None:
    try:
        return UUID(actor)
    except ValueError:
        return None
