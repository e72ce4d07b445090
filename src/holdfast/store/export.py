"""All rows of a tenant, out of one database and into another.

Rows travel as PostgreSQL writes them in JSON, every column of every table that the catalogue says is a tenant's: a
table that a later release adds is exported without being named here. Live text is not: it is on its way to readers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import orjson
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.store.errors import is_connection_lost, is_of_rows, unavailable
from holdfast.store.query import query

if TYPE_CHECKING:
    from holdfast.store.pool import Database

_PASSING = frozenset({"live"})
_FETCH = 500
_SAID_CHARS = 200


class RowsRefused(Exception):
    """They are no rows of this table, or are there already. The text is PostgreSQL's own."""


async def export_rows(db: Database, tenant: UUID) -> AsyncGenerator[tuple[str, str], None]:
    """Table and row (JSON), of one moment; the tenant's own row first, as of table `tenants`.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or went away meanwhile; what came so far is of no use.
    """
    async with db.snapshot(tenant) as connection:
        found = await (await connection.execute(query("tenant_row"), {"tenant": tenant})).fetchone()
        if found is None:
            return
        yield "tenants", found[0]
        tables = [row[0] for row in await (await connection.execute(query("tenant_tables"))).fetchall()]
        for table in tables:
            if table in _PASSING:
                continue
            # Statements, not a cursor object of psycopg's: what reads an export may be cancelled twice, the second
            # time in the middle of closing, and the object then counts as open for good. The transaction ends a cursor.
            name = sql.Identifier(f"export_{table}")
            select = sql.SQL(
                "declare {} no scroll cursor for select row_to_json(t)::text from holdfast.{} t where t.tenant = {}"
            )
            await connection.execute(select.format(name, sql.Identifier(table), sql.Literal(tenant)))
            fetch = sql.SQL("fetch {} from {}").format(sql.Literal(_FETCH), name)
            while rows := await (await connection.execute(fetch, prepare=False)).fetchall():
                for row in rows:
                    yield table, row[0]
            await connection.execute(sql.SQL("close {}").format(name))


async def begin_import(
    db: Database, tenant: UUID, *, name: str, created_at: datetime, time_zone: str, ceilings: Mapping[str, int], by: str
) -> Literal["importing", "taken", "no_zone"]:
    """Make a tenant that nobody gets into yet. All of these raise as `repeat`.

    `taken`: one has this id or name. `no_zone`: this server does not know the time zone.

    Raises:
        RowsRefused: they are no values of a tenant.
    """
    parameters = {
        "tenant": tenant,
        "name": name,
        "created_at": created_at,
        "time_zone": time_zone,
        "ceilings": Jsonb(dict(ceilings)),
        "by": by,
    }
    try:
        return await db.value("begin_import", parameters, tenant=PLATFORM_TENANT)
    except psycopg.Error as error:
        if is_of_rows(error):
            raise _refused(error) from error
        raise


async def import_rows(db: Database, tenant: UUID, table: str, rows: Sequence[object]) -> int:
    """Insert rows as `export_rows` gave them, all or none. Not repeated: whether they were inserted is not known then.

    Raises:
        RowsRefused: they are no rows of this table, or are there already.
        DatabaseUnavailable: the database went away.
    """
    try:
        parameters = {"tenant": tenant, "table": table, "rows": orjson.dumps(rows).decode()}
    except TypeError as error:  # a number of more than 64 bits, which JSON allows
        raise RowsRefused(str(error)[:_SAID_CHARS]) from error
    try:
        return (await db.fetch(tenant, "import_rows", parameters))[0][0]
    except psycopg.Error as error:
        if is_of_rows(error):
            raise _refused(error) from error
        if is_connection_lost(error):
            raise unavailable(error) from error
        raise


async def end_import(db: Database, tenant: UUID, *, by: str) -> None:
    """End an import: the tenant is there, suspended."""
    await db.value("end_import", {"tenant": tenant, "by": by}, tenant=PLATFORM_TENANT)


def _refused(error: psycopg.Error) -> RowsRefused:
    return RowsRefused((error.diag.message_primary or str(error)).rstrip(".")[:_SAID_CHARS])
