"""The logins of processes. None must be able to pass row level security: checked before anything is served."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from holdfast.domain.errors import RoleTooPowerful, RoleTooWeak
from holdfast.store.connection import with_bounds
from holdfast.store.query import query

HALT_LOGIN = "holdfast_halt"
"""As whom halts are declared where connections are kept free for that."""

_FAULTS = {
    "is_superuser": "is a superuser",
    "bypasses": "has BYPASSRLS",
    "makes_roles": "has CREATEROLE, and could make itself a member of any role",
    "owns": "owns objects of the schema",
    "is_member": "is a member of holdfast_owner or holdfast_engine",
}


async def check(connection: psycopg.AsyncConnection[Any]) -> None:
    """Refuse a login that could see or change what row level security hides from it.

    Raises:
        RoleTooPowerful: it could; the message says why and what to do.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query("check_login"))
        found = await cursor.fetchone()
    assert found is not None, "a connection's role exists"
    faults = [text for name, text in _FAULTS.items() if found[name]]
    if faults:
        raise RoleTooPowerful(
            f"The database login '{found['name']}' {' and '.join(faults)}: row level security would not hold for it. "
            "Run `holdfast migrate` with that login, and let the processes log in as `holdfast_worker` and "
            "`holdfast_api` (a HOLDFAST_DATABASE_URL without a user does that by itself)."
        )


def halt_reserve(url: str, login: str) -> tuple[int | None, bool]:
    """How many connections the server at `url` keeps free, None where it cannot, and whether `login` may have them.

    Raises:
        psycopg.Error: the database cannot be reached or refuses the login.
    """
    with psycopg.connect(with_bounds(url), autocommit=True) as connection:
        row = connection.execute(query("halt_reserve"), {"login": login}).fetchone()
    assert row is not None
    return row[0], row[1]


async def check_worker(connection: psycopg.AsyncConnection[Any]) -> None:
    """Refuse a worker's login that may not carry runs. The schema is there.

    Raises:
        RoleTooWeak: it may not; the message says which may.
    """
    row = await (await connection.execute(query("may_carry"))).fetchone()
    assert row is not None
    if not row[0]:
        raise RoleTooWeak(
            f"The database login '{connection.info.user}' may not carry runs. Let workers, and `holdfast run` and "
            "`holdfast dev`, log in as `holdfast_worker` (a HOLDFAST_DATABASE_URL without a user does that by itself)."
        )
