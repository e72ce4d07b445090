"""`holdfast migrate`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg

from holdfast.cli.screen import out, print_json
from holdfast.domain.errors import DatabaseUnavailable, UserError
from holdfast.settings import mask_url
from holdfast.store.migrate import SchemaStatus, schema_status
from holdfast.store.migrate import migrate as bring_up_to_date
from holdfast.wiring import Installation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.settings import Settings


def migrate(settings: Settings, passwords: Mapping[str, str], *, as_json: bool) -> None:
    """Bring the schema to this code's version and print what was done.

    Raises:
        UserError: an outside database is used and no login that owns it is named.
        OperatorError: the database cannot be had, is newer, or the login may not migrate.
    """
    where, before, after = asyncio.run(_migrated(settings, passwords))
    if as_json:
        print_json({"database": where, "from": before.current, "to": after.current, "passwords": sorted(passwords)})
        return
    done = (
        f"is at version {after.current} already"
        if before.state == "ok"
        else f"went from {f'version {before.current}' if before.current else 'nothing'} to version {after.current}"
    )
    out().print(f"The schema of {where} {done}.", markup=False)
    for role in sorted(passwords):
        out().print(f"The password of {role} was set.", markup=False)


async def _migrated(settings: Settings, passwords: Mapping[str, str]) -> tuple[str, SchemaStatus, SchemaStatus]:
    if settings.admin_database_url is not None:
        url = settings.admin_database_url
        return (mask_url(url), *await asyncio.to_thread(_migrate, url, passwords))
    if settings.database_url is not None:
        raise UserError(
            "An outside database is used, and migrating needs a login that owns it. Set HOLDFAST_ADMIN_DATABASE_URL, "
            "or give its URL by --database-url."
        )
    async with Installation.open(settings) as installation:
        statuses = await asyncio.to_thread(_migrate, installation.admin_url, passwords)
    return (f"the embedded database in {settings.data_dir}", *statuses)


def _migrate(url: str, passwords: Mapping[str, str]) -> tuple[SchemaStatus, SchemaStatus]:
    try:
        return schema_status(url), bring_up_to_date(url, passwords=passwords)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"{mask_url(url)} cannot be reached: {error}") from error
