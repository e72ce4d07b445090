"""`holdfast halt` and `holdfast halt lift`."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import typer

from holdfast.cli.halts.showing import print_report, tell_refused, tell_waiting
from holdfast.cli.screen import print_json
from holdfast.cli.services import with_services
from holdfast.domain.durations import seconds_in
from holdfast.domain.errors import NotFound
from holdfast.domain.halts import HaltScope
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.service import halts as use
from holdfast.service.break_glass import act_as
from holdfast.service.manage_principals import find_principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.domain.principal import Who
    from holdfast.service.halt_views import HaltReport
    from holdfast.service.services import Services
    from holdfast.settings import Settings

_LOOK_S = 0.25


def seconds(text: str) -> float:
    """How long `text` says: a number and a unit."""
    try:
        length_s = seconds_in(text)
    except ValueError as error:
        raise typer.BadParameter(f"It is no length of time: {error}.", param_hint="--for") from None
    if not 0 < length_s <= use.HALT_MOST_S:
        raise typer.BadParameter("It lasts for some time, and a year at most.", param_hint="--for")
    return length_s


def declare(
    settings: Settings, scope: str, key: str, *, reason: str, for_s: float | None, wait: bool, as_json: bool
) -> None:
    """Halt something, and print what came of it; with `wait`, once every worker has stopped.

    Raises:
        NotFound: there is nothing of that id or name.
        MissingScope: they may not halt this.
    """

    async def act(services: Services) -> HaltReport:
        services = await _as_who_may(services, settings, scope, key)
        named = await _principal(services, key) if scope == HaltScope.USER else key
        report, _ = await use.declare_halt(
            services, services.caller, HaltScope(scope), named, reason=reason, for_s=for_s
        )
        while wait and not report.settled:
            if not as_json:
                tell_waiting(report)
            await asyncio.sleep(_LOOK_S)
            report = await use.get_halt(services, services.caller, report.id)
        return report

    report = with_services(settings, act, waiting=tell_refused)
    print_json(report) if as_json else print_report(report)


def lift(settings: Settings, halt: UUID, *, as_json: bool) -> None:
    """Lift a halt.

    Raises:
        NotFound: there is no such halt.
        Outranked: its author had more authority.
    """
    report = with_services(
        settings, lambda services: _found(services, settings, halt, use.lift_halt), waiting=tell_refused
    )
    print_json(report) if as_json else print_report(report)


def show(settings: Settings, halt: UUID, *, as_json: bool) -> None:
    """Print one halt with the three times and what is still under way.

    Raises:
        NotFound: there is no such halt.
    """
    report = with_services(
        settings, lambda services: _found(services, settings, halt, use.get_halt), waiting=tell_refused
    )
    print_json(report) if as_json else print_report(report)


async def _found(
    services: Services, settings: Settings, halt: UUID, act: Callable[[Services, Who, UUID], Awaitable[HaltReport]]
) -> HaltReport:
    """On the installation's own machine what was halted as the platform is seen and lifted as the platform."""
    try:
        return await act(services, services.caller, halt)
    except NotFound:
        if not _is_local(settings):
            raise
        services = await _as_platform(services)
        return await act(services, services.caller, halt)


async def _as_who_may(services: Services, settings: Settings, scope: str, key: str) -> Services:
    """Whoever works on the installation's machine halts everything without having to say whom they act as."""
    others = scope == HaltScope.EVERYTHING or (scope == HaltScope.TENANT and key not in {"", settings.tenant})
    return await _as_platform(services) if others and _is_local(settings) else services


def _is_local(settings: Settings) -> bool:
    return settings.tenant == "default" and settings.principal is None


async def _as_platform(services: Services) -> Services:
    caller = await act_as(services, "platform", None, by=f"os:{getpass.getuser()}", what="halt")
    assert caller.tenant == PLATFORM_TENANT
    return replace(services, caller=caller)


async def _principal(services: Services, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return str((await find_principal(services, services.caller.tenant, text)).id)
