"""`holdfast keys ...`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import typer

from holdfast.cli.identity.principals import principal_id
from holdfast.cli.screen import clock, err, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.domain.durations import seconds_in
from holdfast.domain.rights import Scope
from holdfast.service import manage_keys as use
from holdfast.service.names import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.service.identity_views import KeyPage, KeyView, NewKeyView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_keys(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of keys, newest first."""

    async def act(services: Services) -> tuple[KeyPage, Mapping[str, str]]:
        page = await use.list_keys(services, services.caller, cursor=after, limit=limit)
        return page, await names_of(services, services.caller.tenant, {str(key.principal) for key in page.items})

    page, names = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    made = table("id", "of", "name", "scopes", "created", "used", "ends")
    for key in page.items:
        end = "revoked" if key.revoked_at else clock(key.expires_at) if key.expires_at else "never"
        scopes = "all" if key.scopes is None else ", ".join(key.scopes)
        created, used = clock(key.created_at), clock(key.used_at)
        made.add_row(str(key.id), names[str(key.principal)], key.name, scopes, created, used, end)
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def create_key(
    settings: Settings, principal: str | None, *, name: str, scopes: Sequence[str], ends_in: str | None, as_json: bool
) -> None:
    """Make a key and print it, this once."""
    unknown = sorted(set(scopes) - set(Scope))
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is none. There are: {', '.join(Scope)}.", param_hint="--scope")
    expires_at = _end(ends_in)

    async def act(services: Services) -> NewKeyView:
        owner = None if principal is None else await principal_id(services, principal)
        narrowed = [Scope(scope) for scope in scopes] or None
        return await use.create_key(
            services, services.caller, principal=owner, name=name, scopes=narrowed, expires_at=expires_at
        )

    _print_new(with_services(settings, act), as_json=as_json)


def rotate_key(settings: Settings, key: UUID, *, overlap: str, ends_in: str | None, as_json: bool) -> None:
    """Make a key's successor and print it, this once."""
    overlap_s, expires_at = seconds_of(overlap, "--overlap"), _end(ends_in)

    async def act(services: Services) -> NewKeyView:
        return await use.rotate_key(services, services.caller, key, overlap_s=overlap_s, expires_at=expires_at)

    _print_new(with_services(settings, act), as_json=as_json)


def revoke_key(settings: Settings, key: UUID, *, as_json: bool) -> None:
    """End a key."""

    async def act(services: Services) -> KeyView:
        return await use.revoke_key(services, services.caller, key)

    ended = with_services(settings, act)
    if as_json:
        print_json(ended)
    else:
        out().print(f"key {ended.id}: revoked", markup=False)


def seconds_of(text: str, option: str) -> int:
    """A length of time such as 90d, 12h, 30m, in seconds."""
    try:
        return int(seconds_in(text))
    except ValueError as error:
        raise typer.BadParameter(f"It is no length of time: {error}.", param_hint=option) from None


def _end(ends_in: str | None) -> datetime | None:
    if ends_in is None:
        return None
    try:
        return datetime.now(UTC) + timedelta(seconds=seconds_of(ends_in, "--ends-in"))
    except OverflowError:
        raise typer.BadParameter("No calendar goes so far.", param_hint="--ends-in") from None


def _print_new(key: NewKeyView, *, as_json: bool) -> None:
    if as_json:
        print_json(key)
        return
    end = "" if key.expires_at is None else f", which ends {clock(key.expires_at)}"
    err().print(f"key {key.id}{end}, shown this once:", markup=False)
    out().print(key.once(), markup=False)
