"""Connections to the database, in the role of this process, and the scope of a tenant.

Rows of a tenant are visible only inside `Database.tenant`, which sets the tenant for one transaction:
nothing is set for a session, so it also holds behind a pooler that deals out sessions by transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import AsyncRowFactory, tuple_row
from psycopg_pool import AsyncConnectionPool

from holdfast.domain.errors import NotFound, RoleTooWeak, SchemaMismatch
from holdfast.store import pooler, roles
from holdfast.store.connection import Connection, ThreadConnection, with_bounds
from holdfast.store.errors import is_connection_lost, retryable, unavailable
from holdfast.store.migrate import status_of
from holdfast.store.query import query, scoped

if TYPE_CHECKING:
    from holdfast.store.patience import Patience

T = TypeVar("T")

Role = Literal["worker", "api"]

_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.02, 1.0
_TOOL_ROLE = "holdfast_tools"
_TOOL_BOUNDS = "-c idle_in_transaction_session_timeout=60000"
_ON_THE_WAY_S = 5.0
"""How much longer than a statement may take its answer is waited for."""


class Database:
    """Pooled connections of one login. Made by `Database.open`."""

    def __init__(
        self,
        url: str,
        *,
        listen_url: str,
        prepared: bool,
        deadline_s: float,
        silence_s: float,
        settings: bytes,
        max_size: int,
        patience: Patience | None,
    ) -> None:
        self.url, self.listen_url, self.prepared = url, listen_url, prepared
        """With the user in them. `listen_url` reaches the server itself where `url` is a pooler's."""
        self._deadline_s, self._silence_s, self._settings = deadline_s, silence_s, settings
        self._ready = list[Connection]()
        self._tools = asyncio.Semaphore(max_size)
        self._pool = AsyncConnectionPool[Connection](
            url,
            connection_class=Connection,
            min_size=1,
            max_size=max_size,
            timeout=deadline_s if patience is None else patience.for_s,
            # Its pauses between attempts double until it gives up and begins anew: kept short, so that a database that
            # was away for long is found as soon as it is back.
            reconnect_timeout=deadline_s,
            open=False,
            kwargs={**self._options(), "ready": self._ready, "patience": patience},
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
        patience: Patience | None = None,
    ) -> AsyncGenerator[Database, None]:
        """Connect in the role of this process; the login and the schema are checked first.

        A URL without a user logs in as `holdfast_<role>`. `prepared=False` is for a pooler that deals out sessions
        by transaction: no prepared statements and no session settings; then `listen_url` names the server itself.
        `deadline_s` is how long verbs that are safe to repeat are repeated while the database is away;
        `statement_timeout_s` how long the server may take for a statement: not answered soon after, it is lost.
        `patience` waits for a server that lets nobody in; without, that is DatabaseUnavailable at once.

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
            silence_s=statement_timeout_s + _ON_THE_WAY_S,
            settings=settings,
            max_size=max_size,
            patience=patience,
        )
        with _as_unavailable():
            first = await db._connect(db.url, patience)
        try:
            with _as_unavailable():
                await _check(first, role)
                await pooler.check(first, db, listens_elsewhere=listen_url is not None)
            # It becomes the pool's: where places are few, one that was got is not given back.
            db._ready.append(first)
            await db._pool.open()
            yield db
        finally:
            try:
                await db._pool.close()
            finally:
                await first.close()

    async def check(self, role: Role = "api") -> None:
        """Check login and schema on a connection of its own. Raises as `open` does."""
        with _as_unavailable():
            async with await self.connect() as connection:
                await _check(connection, role)

    async def connect(self) -> Connection:
        """A connection outside the pool, in autocommit; the caller closes it.

        Raises:
            psycopg.OperationalError: the database cannot be reached.
        """
        return await self._connect(self.url)

    async def connect_listener(self) -> Connection:
        """As `connect`, to the server itself: a LISTEN through a pooler hears nothing."""
        return await self._connect(self.listen_url)

    def connect_sync(self, *, silence_s: float | None = None) -> psycopg.Connection[Any]:
        """As `connect`, for a thread of its own, which may have its own idea of how long an answer may take."""
        options = self._options()
        if silence_s is not None:
            options["connect_timeout"] = max(2, round(silence_s))
        connection = ThreadConnection.connect(self.url, **options)
        connection.silence_s = silence_s or self._silence_s
        try:
            if self._settings:
                connection.execute(self._settings)
        except BaseException:
            connection.close()
            raise
        return connection

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection, None]:
        """A pooled connection in autocommit, with no tenant: for the functions that cross tenants."""
        task = asyncio.current_task()
        assert task is not None
        asked = task.cancelling()
        try:
            async with self._pool.connection() as connection:
                _heed(task, asked)
                yield connection
        finally:
            _heed(task, asked)

    @asynccontextmanager
    async def tenant(self, tenant: UUID) -> AsyncGenerator[Connection, None]:
        """A transaction that sees this tenant's rows, committed at the end of the block.

        BEGIN and the setting travel as one message, so the scope costs no round trip of its own.
        """
        async with self.connection() as connection:
            try:
                await connection.execute(query("begin_tenant") % str(tenant).encode())
                yield connection
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
            await connection.commit()

    @asynccontextmanager
    async def snapshot(self, tenant: UUID) -> AsyncGenerator[Connection, None]:
        """As `tenant`, for reading only, all of it as it was at one moment, on a connection of its own.

        It is none of the pool's: whoever reads may take long, and everybody else waits for those.

        Raises:
            DatabaseUnavailable: the database cannot be reached, or goes away meanwhile.
        """
        with _as_unavailable():
            connection = await self.connect()
            try:
                await connection.execute(query("begin_snapshot") % str(tenant).encode())
                yield connection
                await connection.rollback()  # a pooler keeps the session of what ended in order
            finally:
                await connection.close()

    @asynccontextmanager
    async def tool(self, tenant: UUID) -> AsyncGenerator[Connection, None]:
        """A transaction for a tool's own rows, on a connection of its own, as a role that may nothing of Holdfast's.

        Role and tenant come with the start of the session, so that RESET, DISCARD and a COMMIT in the middle lead back
        to them; what else a tool sets, or leaves open, goes with the connection and meets no other tenant. It is none
        of the pool's, for a tool may hold it for long while runs have to append, and leads to the server itself.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
            RoleTooWeak: the login may not become that role.
        """
        before = conninfo_to_dict(self.listen_url).get("options") or ""
        options = f"{before} -c role={_TOOL_ROLE} -c holdfast.tenant={tenant} {_TOOL_BOUNDS}".strip()
        async with self._tools:
            try:
                connection = await self._connect(make_conninfo(self.listen_url, options=options))
            except psycopg.OperationalError as error:
                if _TOOL_ROLE in str(error):
                    raise RoleTooWeak(
                        f"The worker's login may not become {_TOOL_ROLE}, as which tools reach the database. Run "
                        f"`holdfast migrate`, or grant {_TOOL_ROLE} to that login."
                    ) from error
                raise unavailable(error) from error
            async with connection:
                await connection.set_autocommit(False)
                yield connection

    async def fetch(
        self,
        tenant: UUID | None,
        name: str,
        parameters: dict[str, Any],
        row_factory: AsyncRowFactory[T] = tuple_row,
    ) -> Sequence[T]:
        """All rows of a named query, as a transaction of its own, in one round trip.

        `tenant` scopes it, which takes a query that answers with rows; None is for functions that cross tenants.
        """
        async with self.connection() as connection:
            cursor = AsyncCursor(connection, row_factory=row_factory)
            if tenant is None:
                await cursor.execute(query(name), parameters)
            else:
                await cursor.execute(*scoped(tenant, name, parameters))
            return await cursor.fetchall()

    @asynccontextmanager
    async def cursors(
        self, tenant: UUID, *queries: tuple[str, dict[str, Any]]
    ) -> AsyncGenerator[list[AsyncCursor[tuple[Any, ...]]], None]:
        """The answers of named queries that go out together: one transaction in a tenant's scope, one round trip.

        In binary, and to be read while the block runs.
        """
        async with self.connection() as connection:
            cursors = [connection.cursor(binary=True, row_factory=tuple_row) for _ in queries]
            if len(queries) == 1:
                [(name, parameters)], [cursor] = queries, cursors
                await cursor.execute(*scoped(tenant, name, parameters))
            else:
                async with connection.together(tenant):
                    for cursor, (name, parameters) in zip(cursors, queries, strict=True):
                        await cursor.execute(query(name), parameters)
            yield cursors

    async def value(self, name: str, parameters: dict[str, Any], *, tenant: UUID | None = None) -> Any:
        """The one value that a named query answers with. For queries that are safe to repeat; raises as `repeat`."""
        rows = await self.repeat(lambda: self.fetch(tenant, name, parameters))
        return rows[0][0]

    async def repeat(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do what is safe to repeat, again and again while the database asks for it or is away.

        Raises:
            DatabaseUnavailable: it was away for as long as `deadline_s`.
            NotFound: the tenant in whose scope it was is being deleted, or is gone.
            psycopg.Error: anything that repeating does not mend.
        """
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self._deadline_s, _BACKOFF_FIRST_S
        while True:
            try:
                return await act()
            except psycopg.errors.NoDataFound as error:
                raise NotFound("There is no such tenant any more.") from error
            except (psycopg.Error, OSError) as error:
                if not retryable(error):
                    raise
                if loop.time() >= until:
                    if is_connection_lost(error):
                        raise unavailable(error) from error
                    raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
            pause_s = min(2 * pause_s, _BACKOFF_MOST_S)

    async def _connect(self, url: str, patience: Patience | None = None) -> Connection:
        connection = await Connection.connect(url, patience=patience, **self._options())
        await self._configure(connection)
        return connection

    def _options(self) -> dict[str, Any]:
        return {"autocommit": True, "prepare_threshold": 5 if self.prepared else None}

    async def _configure(self, connection: Connection) -> None:
        connection.silence_s = self._silence_s
        try:
            if self._settings:
                await connection.execute(self._settings)
        except BaseException:  # cancelled too: a process that stops while it connects leaves nothing open
            await connection.close()
            raise


async def _check(connection: Connection, role: Role) -> None:
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


@contextmanager
def _as_unavailable() -> Generator[None, None, None]:
    """Says of a database that is away what whoever runs the installation has to know."""
    try:
        yield
    except psycopg.Error as error:
        if is_connection_lost(error):
            raise unavailable(error) from error
        raise


def _heed(task: asyncio.Task[Any], asked: int) -> None:
    """Let no cancellation be lost: the pool's waits swallow one that comes together with a connection.

    They do on Python 3.11 (`asyncio.wait_for`), and where what was left open on a connection is rolled back. A loop
    that is told to end would go on, and whoever waits for it with it.
    """
    if task.cancelling() > asked:
        raise asyncio.CancelledError


def in_role(url: str, role: Role) -> str:
    """The conninfo of `url` with what it leaves open filled in: user, application name, bounds."""
    return with_bounds(url, user=f"holdfast_{role}", application_name=f"holdfast {role}")
