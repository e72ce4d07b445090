"""The checks of isolation watch themselves fail: without any one policy, the catalogue's and the leak test go red.

Each sabotage is done to one table or partition in a transaction that is rolled back.
"""

import re

import psycopg
import pytest
from leak_rows import tenant_columns
from two_tenants import LOGINS, Two

from support.policies import faults, partitions, tables

SABOTAGE = {
    "the policy dropped": ("drop policy tenant on holdfast.{0}", "the tenant's policy is missing"),
    "row security off": ("alter table holdfast.{0} disable row level security", "row security is off"),
    "not forced": ("alter table holdfast.{0} no force row level security", "row security is not forced"),
    "another policy": ("create policy more on holdfast.{0} using (true)", "it has other policies"),
    "a wider policy": (
        "alter policy tenant on holdfast.{0} using (tenant is not null or {0} is null)",
        "the tenant's policy is missing",
    ),
    "for one role only": ("alter policy tenant on holdfast.{0} to holdfast_worker", "the tenant's policy is missing"),
}
WIDENS = ("row security off", "another policy", "a wider policy")


def sabotaged(connection: psycopg.Connection, table: str, what: str) -> None:
    statement = SABOTAGE[what][0].format(table)
    connection.execute(statement.replace("tenant is not null", "id is not null") if table == "tenants" else statement)


def meetings(connection: psycopg.Connection, two: Two, table: str) -> list[str]:
    """By whom a table shows rows of another tenant, or none of one's own. What no role may read it does not show."""
    column = "id" if table == "tenants" else "tenant"
    found = []
    for role in ("holdfast_owner", *LOGINS):
        with connection.transaction(force_rollback=True):
            connection.execute("select set_config('holdfast.tenant', %s, true)", [str(two.a.id)])
            connection.execute(f"set local role {role}")
            try:
                seen = connection.execute(f"select distinct {column} from holdfast.{table}").fetchall()
            except psycopg.errors.InsufficientPrivilege:
                continue
            if seen != [(two.a.id,)]:
                found.append(f"{role} sees {len(seen)} tenants")
    return found


def put_everywhere(connection: psycopg.Connection, two: Two) -> None:
    """A row of each tenant in every partition, so that there is something to see."""
    for name in partitions(connection):
        month = re.search(r"\d{6}", name)
        low = "'00000000-0000-0000-0000-000000000001'::uuid"
        if month:
            low = f"holdfast.uuid_at(to_timestamp('{month[0]}02', 'YYYYMMDD'))"
        values = "1, 't', now(), '{}', ''" if name.startswith("events") else "'', ''"
        for tenant in (two.a.id, two.b.id):
            connection.execute(f"insert into holdfast.{name} select '{tenant}', {low}, {values}")


@pytest.fixture
def connection(two):
    with psycopg.connect(two.scene.database.admin_url) as opened:
        put_everywhere(opened, two)
        yield opened
        opened.rollback()


def of_tenants(connection) -> list[str]:
    return sorted({*tenant_columns(connection), *partitions(connection)})


def test_as_it_is_nothing_is_red(connection, two):
    assert faults(connection) == []
    assert [meetings(connection, two, table) for table in of_tenants(connection)] == [[]] * len(of_tenants(connection))


@pytest.mark.parametrize("what", SABOTAGE)
def test_the_catalogues_check_sees_any_one_sabotage(connection, what):
    for table in of_tenants(connection):
        with connection.transaction(force_rollback=True):
            sabotaged(connection, table, what)
            assert any(f"{table}: {SABOTAGE[what][1]}" in fault for fault in faults(connection)), table
    assert faults(connection) == []


@pytest.mark.parametrize("what", ["row security off", "not forced"])
def test_it_sees_them_of_infrastructure_too(connection, what):
    for table in tables(connection).keys() - set(of_tenants(connection)):
        with connection.transaction(force_rollback=True):
            sabotaged(connection, table, what)
            assert [fault.partition(":")[0] for fault in faults(connection)] == [table]


@pytest.mark.parametrize("what", ["the policy dropped", *WIDENS, "not forced"])
def test_a_leak_test_by_sql_sees_it(connection, two, what):
    """Two tenants meet, or where the policy is gone nothing is seen at all."""
    for table in of_tenants(connection):
        with connection.transaction(force_rollback=True):
            sabotaged(connection, table, what)
            seen = meetings(connection, two, table)
            assert seen, f"{table} with {what}"
            expected = {"the policy dropped": "sees 0", "not forced": "holdfast_owner"}.get(what, "sees")
            assert all(expected in one for one in seen)
