"""`holdfast tenants limits ...`: what each run of the tenant may do at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.approvals.deciding import limits_of
from holdfast.cli.screen import out, print_json
from holdfast.cli.services import with_services
from holdfast.domain.limits import describe, display, read_ceilings
from holdfast.service.tenant_limits import change_tenant_limits, get_tenant_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.service.identity_views import TenantLimitsView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def show_limits(settings: Settings, *, as_json: bool) -> None:
    """Print the tenant's limits."""

    async def act(services: Services) -> TenantLimitsView:
        return await get_tenant_limits(services, services.caller)

    _print(with_services(settings, act), as_json=as_json)


def change_limits(settings: Settings, given: Sequence[str], *, drop: Sequence[str] = (), as_json: bool) -> None:
    """Set those that are given, as NAME=NUMBER, take away those of `drop`, and print all.

    Raises:
        InvalidInput: a name or a number is none, or one to be taken away is not there.
    """
    limits = limits_of(given, "NAME=NUMBER")

    async def act(services: Services) -> TenantLimitsView:
        return await change_tenant_limits(services, services.caller, limits, drop=drop)

    _print(with_services(settings, act), as_json=as_json)


def _print(view: TenantLimitsView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    for name, most in read_ceilings(view.limits).items():
        out().print(f"{name}: at most {display(name, most)} {describe(name)}", markup=False)
    if not view.limits:
        out().print("No limits: each run may do what its task and its request allow.")
