"""The attempts of `holdfast demo tenants` that a fault in our own code could make: with the API's login, in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg

from holdfast.cli.demo.promises import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.cli.demo.companies import Scene


def at_the_database(url: str, scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """What a fault in our own code could do: the API's login, with no tenant set, or with Bolt's."""
    say("With the API's own login at the database.")
    with psycopg.connect(url, autocommit=True) as connection:
        return [
            _rows(connection, "without a tenant, there are no rows", None, "select * from holdfast.runs", []),
            _rows(
                connection,
                "in Bolt's scope, Acme's run is not there",
                scene.tenants["bolt"],
                "select * from holdfast.runs where id = %s",
                [scene.anns_runs[0]],
            ),
            _rows(
                connection,
                "nor its events, asked for by Acme's id",
                scene.tenants["bolt"],
                "select * from holdfast.events where tenant = %s",
                [scene.tenants["acme"]],
            ),
            _refused(
                connection,
                "in Bolt's scope, a function told to act on Acme refuses",
                scene.tenants["bolt"],
                "select holdfast.deliver_signal(%s, %s, 'cancel', '{}', null, null, 'bob', null)",
                [scene.tenants["acme"], scene.anns_runs[0]],
            ),
            _refused(
                connection,
                "it may not claim runs, as workers do",
                scene.tenants["bolt"],
                "select holdfast.claim_runs(%s, 1, '{}', '{}', '{}')",
                [uuid4()],
            ),
            _refused(connection, "it may not become the owner", None, "set role holdfast_owner", []),
            _refused(connection, "nor the engine, which crosses tenants", None, "set role holdfast_engine", []),
            _refused(
                connection,
                "nor switch row security off",
                None,
                "alter table holdfast.runs disable row level security",
                [],
            ),
        ]


def in_scope(
    connection: psycopg.Connection[Any], tenant: str | None, statement: Any, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """The rows that a statement answers with, in a tenant's scope or in none."""
    with connection.transaction():
        if tenant is not None:
            connection.execute("select set_config('holdfast.tenant', %s, true)", [tenant])
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def _rows(
    connection: psycopg.Connection[Any], promise: str, tenant: str | None, statement: Any, values: Sequence[Any]
) -> Promise:
    count = len(in_scope(connection, tenant, statement, values))
    return Promise(promise, count == 0, f"{count} rows")


def _refused(
    connection: psycopg.Connection[Any], promise: str, tenant: str | None, statement: Any, values: Sequence[Any]
) -> Promise:
    try:
        in_scope(connection, tenant, statement, values)
    except psycopg.errors.InsufficientPrivilege as error:
        return Promise(promise, True, str(error).partition("\n")[0])
    return Promise(promise, False, "it was done")
