"""Bringing the schema to this code's version, and saying which version a database has.

A migration is one transaction: roles, schema, tables, functions and the version are there together or
not at all. It runs under an advisory lock, so that a second `holdfast migrate` waits and finds nothing to do.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import psycopg
from psycopg import sql

from holdfast.domain.errors import OperatorError, SchemaMismatch
from holdfast.store.connection import with_bounds
from holdfast.store.query import query

LOGIN_ROLES = ("holdfast_worker", "holdfast_api", "holdfast_halt")

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 4856
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The schema's version in the database, and the one this code was written for."""

    current: str | None
    expected: str
    state: Literal["ok", "missing", "older", "newer"]

    def require(self) -> None:
        """Raise unless the two agree.

        Raises:
            SchemaMismatch: they do not; the message says what to run.
        """
        if self.state == "missing":
            raise SchemaMismatch("The database holds no Holdfast schema yet. Run `holdfast migrate`.")
        if self.state == "older":
            raise SchemaMismatch(
                f"The database's schema is version {self.current}, and this Holdfast needs {self.expected}. "
                "Run `holdfast migrate`."
            )
        if self.state == "newer":
            raise SchemaMismatch(
                f"The database's schema is version {self.current}, newer than the {self.expected} that this "
                "Holdfast knows. Upgrade Holdfast in this process."
            )


def expected_version() -> str:
    """The newest migration that this code brings."""
    return max(path.name[:4] for path in (_MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def status_of(current: str | None) -> SchemaStatus:
    """What a version found in a database means for this code."""
    expected = expected_version()
    if current is None:
        return SchemaStatus(None, expected, "missing")
    state = "ok" if current == expected else "older" if current < expected else "newer"
    return SchemaStatus(current, expected, state)


def schema_status(url: str) -> SchemaStatus:
    """Which version the database at `url` has. Any login of Holdfast's may ask.

    Raises:
        psycopg.Error: the database cannot be reached or refuses the login.
    """
    with psycopg.connect(with_bounds(url), autocommit=True) as connection:
        return status_of(read_version(connection))


def read_version(connection: psycopg.Connection[Any]) -> str | None:
    """The version written in the database, or None where there is no schema."""
    try:
        row = connection.execute(query("schema_version")).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return row[0] if row else None


def migrate(admin_url: str, *, passwords: Mapping[str, str] | None = None) -> SchemaStatus:
    """Create or upgrade everything Holdfast needs in the database at `admin_url`.

    The login must own the database and be able to create roles; it need not be a superuser. The login
    roles get no password unless `passwords` names them (`{"holdfast_worker": "…", "holdfast_api": "…"}`).

    Raises:
        SchemaMismatch: the schema is newer than this code.
        OperatorError: the login may not do what a migration does, or `passwords` names another role.
    """
    unknown = set(passwords or {}) - set(LOGIN_ROLES)
    if unknown:
        raise OperatorError(f"Passwords can be set for {', '.join(LOGIN_ROLES)}, not for {sorted(unknown)}.")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _migrate_once(admin_url, passwords or {})
        except psycopg.errors.InsufficientPrivilege as error:
            raise OperatorError(
                f"The login may not migrate: {error.diag.message_primary}. "
                "Use one that owns the database and has CREATEROLE, or a superuser; if another login "
                "created Holdfast's roles in this cluster, use that one."
            ) from error
        except psycopg.errors.InternalError_:
            # "tuple concurrently updated": roles belong to the cluster, and a migration of another of its
            # databases changed the same one.
            if attempt == _ATTEMPTS:
                raise
            time.sleep(0.05 * attempt)
    raise AssertionError


def _migrate_once(admin_url: str, passwords: Mapping[str, str]) -> SchemaStatus:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    bounded = with_bounds(admin_url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(bounded), poolclass=NullPool)
    with engine.begin() as alchemy:
        connection = cast("psycopg.Connection[Any]", alchemy.connection.driver_connection)
        connection.execute("select pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
        _run(connection, "bootstrap.sql")
        status = status_of(_version_if_any(connection))
        if status.state == "newer":
            status.require()
        _upgrade(alchemy)
        _run(connection, "retire.sql")
        for role, password in passwords.items():
            _set_password(connection, role, password)
    return status_of(expected_version())


def _version_if_any(connection: psycopg.Connection[Any]) -> str | None:
    """The version in force, asked so that an absent table does not end the transaction."""
    with connection.transaction(force_rollback=True):
        return read_version(connection)


def _run(connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute((_MIGRATIONS / name).read_bytes())


def _upgrade(alchemy: Any) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = alchemy
    command.upgrade(config, "head")


def _set_password(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    # Scrambled here, so that the server's log never holds it in clear.
    scrambled = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(scrambled.decode()))
    )
