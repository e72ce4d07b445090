"""What commands that look and decide work with: the use cases' services, on the installation that is there."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from holdfast.cli.settings import Invoked, invoked
from holdfast.domain.errors import NotFound, UserError

if TYPE_CHECKING:
    from holdfast.service.services import Services
    from holdfast.settings import Settings

T = TypeVar("T")


def with_services(
    settings: Settings, act: Callable[[Services], Awaitable[T]], *, waiting: Callable[[str], None] | None = None
) -> T:
    """What `act` gives, with services that live as long as it runs.

    Args:
        settings: which installation, and who acts.
        act: what is done.
        waiting: for what has to get through to a server that lets nobody in, on connections kept for that: is told why
            it is asked again.

    Raises:
        UserError: there is no installation here.
        OperatorError: the database cannot be had or refuses.
    """

    async def go() -> T:
        async with open_services(settings, waiting=waiting) as services:
            return await act(services)

    return asyncio.run(go())


@asynccontextmanager
async def open_services(
    settings: Settings, *, waiting: Callable[[str], None] | None = None
) -> AsyncGenerator[Services, None]:
    """The services, without an application. Looking does not make an installation. `waiting` as in `with_services`.

    Raises:
        UserError: there is no installation here.
        OperatorError: the database cannot be had or refuses.
    """
    from holdfast.wiring import open_api, open_halting

    if settings.database_url is None and not (settings.data_dir / "pg").exists():
        raise UserError(
            f"There is no installation here: {settings.data_dir} holds no database, and HOLDFAST_DATABASE_URL is not "
            "set. `holdfast run` and `holdfast dev` make one; --data-dir names another."
        )
    opened = open_api(settings) if waiting is None else open_halting(settings, waiting)
    async with opened as services:
        yield await as_caller(services, settings)


async def as_caller(services: Services, settings: Settings) -> Services:
    """The services, for the one whom the settings name.

    Raises:
        NotFound: there is no such tenant or principal.
        PrincipalDisabled: the principal may do nothing.
    """
    from holdfast.service.break_glass import act_as

    if settings.tenant == "default" and settings.principal is None:
        return services
    by, what = f"os:{getpass.getuser()}", invoked.get(Invoked())
    caller = await act_as(services, settings.tenant, settings.principal, by=by, what=what.verb, named=what.named)
    return replace(services, caller=caller)


async def run_id(services: Services, reference: str) -> UUID:
    """The run that `reference` names: an id, or `last`.

    Raises:
        NotFound: it is neither, or there are no runs.
    """
    from holdfast.service.list_runs import list_runs

    if reference == "last":
        newest = (await list_runs(services, services.caller, limit=1)).items
        if not newest:
            raise NotFound("There are no runs yet.")
        return newest[0].id
    try:
        return UUID(reference)
    except ValueError:
        raise NotFound(
            f"'{reference}' is not a run's id. `holdfast runs ls` lists them; `last` is the newest."
        ) from None
