"""Connections to the database, in the role of this process, and the scope of a tenant.

Rows of a tenant are visible only inside `Database.tenant`, which sets the tenant for one transaction:
nothing is set for a session, so it also holds behind a pooler that deals out sessions by transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import AsyncRowFactory, tuple_row
from psycopg_pool import AsyncConnectionPool

from holdfast.domain.errors import SchemaMismatch
from holdfast.store import pooler, roles
from holdfast.store.errors import is_connection_lost, retryable, unavailable
from holdfast.store.migrate import status_of
from holdfast.store.query import query

T = TypeVar("T")

Role = Literal["worker", "api"]

_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.02, 1.0


class Database:
    """Pooled connections of one login. Made by `Database.open`."""

    def __init__(
        self, url: str, *, listen_url: str, prepared: bool, deadline_s: float, settings: bytes, max_size: int
    ) -> None:
        self.url, self.listen_url, self.prepared = url, listen_url, prepared
        """With the user in them. `listen_url` reaches the server itself where `url` is a pooler's."""
        self._deadline_s, self._settings = deadline_s, settings
        self._pool = AsyncConnectionPool[AsyncConnection[Any]](
            url,
            min_size=1,
            max_size=max_size,
            timeout=deadline_s,
            open=False,
            kwargs=self._options(),
            configure=self._configure,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        role: Role,
        listen_url: str | None = None,
        prepared: bool = True,
        max_size: int = 8,
        deadline_s: float = 10.0,
        statement_timeout_s: float = 60.0,
    ) -> AsyncGenerator[Database, None]:
        """Connect in the role of this process; the login and the schema are checked first.

        A URL without a user logs in as `holdfast_<role>`. `prepared=False` is for a pooler that deals out sessions
        by transaction: no prepared statements and no session settings; then `listen_url` names the server itself.
        `deadline_s` is how long verbs that are safe to repeat are repeated while the database is away.

        Raises:
            DatabaseUnavailable: it cannot be reached, or refuses the login.
            RoleTooPowerful: the login could pass row level security.
            RoleTooWeak: a worker's login may not carry runs.
            SchemaMismatch: the schema is not this code's.
            UserError: the URL leads to a pooler by transaction, and the settings do not say so.
        """
        settings = query("session_settings") % round(statement_timeout_s * 1000) if prepared else b""
        db = cls(
            in_role(url, role),
            listen_url=in_role(listen_url or url, role),
            prepared=prepared,
            deadline_s=deadline_s,
            settings=settings,
            max_size=max_size,
        )
        await db.check(role)
        await db._check_pooler(listens_elsewhere=listen_url is not None)
        await db._pool.open()
        try:
            yield db
        finally:
            await db._pool.close()

    async def check(self, role: Role = "api") -> None:
        """Check login and schema on a connection of its own. Raises as `open` does."""
        try:
            async with await self.connect() as connection:
                await roles.check(connection)
                version = None
                try:
                    row = await (await connection.execute(query("schema_version"))).fetchone()
                    version = row[0] if row else None
                except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                    pass
                except psycopg.errors.InsufficientPrivilege as error:
                    raise SchemaMismatch(
                        f"The login '{connection.info.user}' may not read Holdfast's schema. "
                        "Let processes log in as `holdfast_worker` or `holdfast_api`."
                    ) from error
                status_of(version).require()
                if role == "worker":
                    await roles.check_worker(connection)
        except psycopg.Error as error:
            if is_connection_lost(error):
                raise unavailable(error) from error
            raise

    async def _check_pooler(self, *, listens_elsewhere: bool) -> None:
        try:
            async with await self.connect() as connection:
                await pooler.check(connection, self, listens_elsewhere=listens_elsewhere)
        except psycopg.OperationalError as error:
            raise unavailable(error) from error

    async def connect(self) -> AsyncConnection[Any]:
        """A connection outside the pool, in autocommit; the caller closes it.

        Raises:
            psycopg.OperationalError: the database cannot be reached.
        """
        return await self._connect(self.url)

    async def connect_listener(self) -> AsyncConnection[Any]:
        """As `connect`, to the server itself: a LISTEN through a pooler hears nothing."""
        return await self._connect(self.listen_url)

    def connect_sync(self) -> psycopg.Connection[Any]:
        """As `connect`, for a thread of its own."""
        connection = psycopg.connect(self.url, **self._options())
        try:
            if self._settings:
                connection.execute(self._settings)
        except BaseException:
            connection.close()
            raise
        return connection

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection[Any], None]:
        """A pooled connection in autocommit, with no tenant: for the functions that cross tenants."""
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def tenant(self, tenant: UUID) -> AsyncGenerator[AsyncConnection[Any], None]:
        """A transaction that sees this tenant's rows, committed at the end of the block.

        BEGIN and the setting travel as one message, so the scope costs no round trip of its own.
        """
        async with self._pool.connection() as connection:
            try:
                await connection.execute(query("begin_tenant") % str(tenant).encode())
                yield connection
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
            await connection.commit()

    async def fetch(
        self,
        tenant: UUID | None,
        name: str,
        parameters: dict[str, Any],
        row_factory: AsyncRowFactory[T] = tuple_row,
    ) -> Sequence[T]:
        """All rows of a named query, in a transaction of its own, in one round trip.

        `tenant` scopes it; None is for functions that cross tenants.
        """
        async with self._pool.connection() as connection:
            cursor = AsyncCursor(connection, row_factory=row_factory)
            if tenant is None:
                await cursor.execute(query(name), parameters)
                return await cursor.fetchall()
            # The statements of a pipeline are one transaction, up to its end.
            async with connection.pipeline():
                await connection.execute(query("set_tenant"), {"tenant": str(tenant)})
                await cursor.execute(query(name), parameters)
            return await cursor.fetchall()

    async def value(self, name: str, parameters: dict[str, Any], *, tenant: UUID | None = None) -> Any:
        """The one value that a named query answers with. For queries that are safe to repeat; raises as `repeat`."""
        rows = await self.repeat(lambda: self.fetch(tenant, name, parameters))
        return rows[0][0]

    async def repeat(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do what is safe to repeat, again and again while the database asks for it or is away.

        Raises:
            DatabaseUnavailable: it was away for as long as `deadline_s`.
            psycopg.Error: anything that repeating does not mend.
        """
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self._deadline_s, _BACKOFF_FIRST_S
        while True:
            try:
                return await act()
            except (psycopg.Error, OSError) as error:
                if not retryable(error):
                    raise
                if loop.time() >= until:
                    if is_connection_lost(error):
                        raise unavailable(error) from error
                    raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
            pause_s = min(2 * pause_s, _BACKOFF_MOST_S)

    async def _connect(self, url: str) -> AsyncConnection[Any]:
        connection = await AsyncConnection.connect(url, **self._options())
        try:
            await self._configure(connection)
        except BaseException:  # cancelled too: a process that stops while it connects leaves nothing open
            await connection.close()
            raise
        return connection

    def _options(self) -> dict[str, Any]:
        return {"autocommit": True, "prepare_threshold": 5 if self.prepared else None}

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        if self._settings:
            await connection.execute(self._settings)


def in_role(url: str, role: Role) -> str:
    """The conninfo of `url` with what it leaves open filled in: user, application name, time to connect."""
    given = conninfo_to_dict(url)
    defaults = {
        "user": f"holdfast_{role}",
        "application_name": f"holdfast {role}",
        "connect_timeout": 10,
        "keepalives_idle": 30,
    }
    return make_conninfo(url, **{name: value for name, value in defaults.items() if not given.get(name)})
