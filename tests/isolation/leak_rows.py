"""What a tenant has in the database, as one digest for each table, and the ids that are its."""

from __future__ import annotations

from typing import Any

import psycopg

INFRASTRUCTURE = {"workers", "clock", "timeline", "schema_version"}
_TABLES = """
select c.relname, array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)
from pg_class c where c.relnamespace = 'holdfast'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname
"""

_IDS = {
    "run": "select id::text, principal from holdfast.runs where tenant = %s",
    "approval": "select a.id::text, r.principal from holdfast.approvals a join holdfast.runs r on r.id = a.run"
    " and r.tenant = a.tenant where a.tenant = %s",
    "principal": "select id::text, id::text from holdfast.principals where tenant = %s",
    "key": "select id::text, principal::text from holdfast.api_keys where tenant = %s",
    "halt": "select id::text, by from holdfast.halts where tenant = %s",
    "budget": "select id::text, created_by from holdfast.budgets where tenant = %s",
    "entry": "select id::text, '' from holdfast.audit_log where tenant = %s",
}


def tenant_columns(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Each table of tenants with the column that says whose a row is. From the catalogue: a new one is in it."""
    found = {}
    for name, columns in connection.execute(_TABLES).fetchall():
        if name not in INFRASTRUCTURE:
            found[name] = "id" if name == "tenants" else "tenant"
            assert found[name] in columns, f"table {name} has no column that says whose a row is"
    return found


def rows_of(connection: psycopg.Connection[Any], tenant: str) -> dict[str, tuple[int, str]]:
    """Count and digest of a tenant's rows by table, as a superuser sees them."""
    found = {}
    for table, column in tenant_columns(connection).items():
        row = connection.execute(
            f"select count(*), coalesce(md5(string_agg(md5(x::text), '' order by md5(x::text))), '')"
            f" from holdfast.{table} x where {column} = %s",
            [tenant],
        ).fetchone()
        assert row is not None
        found[table] = row
    return found


def ids_of(connection: psycopg.Connection[Any], tenant: str) -> dict[str, tuple[str, str]]:
    """Every id of the tenant's things: of what, and whose. Those of sessions are chosen, also twice, and left out."""
    found = {}
    for kind, sql in _IDS.items():
        for id_, owner in connection.execute(sql, [tenant]):
            found[id_] = (kind, owner)
    return found
