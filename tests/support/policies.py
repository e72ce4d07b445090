"""What the catalogue has to say of each table's and partition's row security: on, forced, by the tenant's policy."""

from __future__ import annotations

import re
from typing import Any

import psycopg

INFRASTRUCTURE = {"workers", "clock", "timeline", "schema_version"}
TENANT_POLICY = "(tenant = (NULLIF(current_setting('holdfast.tenant'::text, true), ''::text))::uuid)"
ENGINE = [("engine", ["holdfast_engine"], "ALL", "PERMISSIVE", "true", "true")]
_TABLES = """
select relname, relrowsecurity, relforcerowsecurity from pg_class
where relnamespace = 'holdfast'::regnamespace and relkind in ('r', 'p', 'f') order by relname
"""
_POLICIES = """
select tablename, policyname, roles::text[], cmd, permissive, qual, with_check from pg_policies
where schemaname = 'holdfast'
"""


def tables(connection: psycopg.Connection[Any]) -> dict[str, tuple[bool, bool]]:
    """Every table and partition, and whether its row security is on and forced."""
    return {name: (on, forced) for name, on, forced in connection.execute(_TABLES).fetchall()}


def faults(connection: psycopg.Connection[Any]) -> list[str]:
    """What is not as it has to be, each beginning with the table's name. Empty where tenants cannot meet."""
    found: list[str] = []
    policies = connection.execute(_POLICIES).fetchall()
    for name, (on, forced) in tables(connection).items():
        found += [] if on else [f"{name}: row security is off"]
        found += [] if forced else [f"{name}: row security is not forced"]
        if name in INFRASTRUCTURE:
            continue
        mine = [policy[1:] for policy in policies if policy[0] == name]
        text = TENANT_POLICY.replace("tenant =", "id =") if name == "tenants" else TENANT_POLICY
        expected = ("tenant", ["public"], "ALL", "PERMISSIVE", text, None)
        if expected not in mine:
            found.append(f"{name}: the tenant's policy is missing")
        rest = [policy for policy in mine if policy != expected]
        if rest not in ([], ENGINE):
            found.append(f"{name}: it has other policies: {rest}")
    return found


def partitions(connection: psycopg.Connection[Any]) -> list[str]:
    """The partitions of journals and content."""
    return [name for name in tables(connection) if re.fullmatch(r"(events|blobs)_(\d{6}|other)", name)]
