"""Whether a pooler stands between this process and the server, and deals out the server's sessions by transaction.

Behind such a one a prepared statement is now there and now not, a session setting is somebody else's, and a LISTEN
hears nothing, all of it without an error at once. So it is looked for at start-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.domain.errors import UserError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from holdfast.store.pool import Database

_ADVICE = (
    "HOLDFAST_DATABASE_URL leads to a pooler that deals out the server's sessions by transaction, as PgBouncer's "
    "pool_mode=transaction does. {missing} `holdfast config show` lists what is set."
)
_NO_PREPARED = "Set HOLDFAST_PREPARED_STATEMENTS=false, since prepared statements do not survive it."
_NO_LISTEN = (
    "Set HOLDFAST_LISTEN_URL to a URL of the server itself, where each process keeps one connection, since a LISTEN "
    "through it hears nothing."
)


async def check(connection: AsyncConnection[Any], db: Database, *, listens_elsewhere: bool) -> None:
    """Refuse a pooler by transaction that the settings do not know of. `connection` is one through `db`'s URL.

    Raises:
        UserError: which settings are missing.
    """
    if db.prepared or not listens_elsewhere:
        # A pooler gives its clients a number of its own for cancelling.
        first = await _session(connection)
        if first != connection.info.backend_pid and await _is_dealt_out(connection, db, first):
            missing = [_NO_PREPARED] * db.prepared + [_NO_LISTEN] * (not listens_elsewhere)
            raise UserError(_ADVICE.format(missing=" ".join(missing)))


async def _is_dealt_out(connection: AsyncConnection[Any], db: Database, first: int) -> bool:
    """Whether a second client may get the session of the first, or the first another one."""
    async with await db.connect() as other, other.transaction():
        # While this transaction is open its session is nobody else's.
        return await _session(other) == first or await _session(connection) != first


async def _session(connection: AsyncConnection[Any]) -> int:
    row = await (await connection.execute("select pg_backend_pid()", prepare=False)).fetchone()
    assert row is not None
    return row[0]
