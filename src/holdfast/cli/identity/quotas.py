"""`holdfast tenants quotas ...`: what a tenant may have at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.identity.tenants import of_platform
from holdfast.cli.screen import out, print_json
from holdfast.cli.services import with_services
from holdfast.service import manage_tenants as use

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.service.identity_views import Quotas, TenantView
    from holdfast.service.services import Services
    from holdfast.settings import Settings

_OF = {
    "principals": "people and services who are not disabled",
    "runs": "that have not ended",
    "bytes": "of content, events and messages",
}


def show_quotas(settings: Settings, name: str, *, as_json: bool) -> None:
    """Print what a tenant may have at most.

    Raises:
        NotFound: there is no such tenant.
    """

    async def act(services: Services) -> TenantView:
        return await use.get_tenant(services, services.caller, name)

    _print(with_services(of_platform(settings), act), as_json=as_json)


def change_quotas(settings: Settings, name: str, put: Quotas, *, drop: Sequence[str] = (), as_json: bool) -> None:
    """Set those of `put` that are given, take away those of `drop`, and print all.

    Raises:
        NotFound: there is no such tenant.
        InvalidInput: nothing is given, or one to be taken away is not there.
    """

    async def act(services: Services) -> TenantView:
        return await use.change_quotas(services, services.caller, name, put, drop=drop)

    _print(with_services(of_platform(settings), act), as_json=as_json)


def _print(view: TenantView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    there = view.quotas.model_dump(exclude_none=True)
    for name, most in there.items():
        out().print(f"{name}: at most {most} {_OF[name]}", markup=False)
    if not there:
        out().print(f"No quotas: tenant {view.name} may have as much as there is room for.", markup=False)
