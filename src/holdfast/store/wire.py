"""The one prepared statement of a connection, sent without what psycopg does for any statement.

A cursor adapts parameters, looks for a plan, builds a generator and puts the socket under watch anew for each
execution: 160 µs of CPU for the 21 parameters of an append, where all of a step may cost 190. Here the parameters are
encoded already, the statement is prepared once for the connection's life, and the socket stays under watch.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from holdfast.store.query import query

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from psycopg import AsyncConnection
    from psycopg.pq.abc import PGconn, PGresult

_PREPARED = b"holdfast"


class Wire:
    """Sends one named query on one connection, one execution at a time. Belongs to the running event loop.

    The connection may be used by psycopg's own means in between, inside `aside`.
    """

    def __init__(self, connection: AsyncConnection[Any], statement: str, *, prepared: bool) -> None:
        self._pgconn: PGconn = connection.pgconn
        self._statement = query(statement)
        self._loop = asyncio.get_running_loop()
        # A descriptor of our own: when the connection ends, libpq closes its own, whose number is soon another's.
        self._socket = os.dup(connection.fileno())
        self._open = True
        self._is_prepared = not prepared
        self._prepares = prepared
        self._answered: asyncio.Future[None] | None = None
        self._unsent = False
        self._loop.add_reader(self._socket, self._arrived)

    @contextmanager
    def aside(self) -> Generator[None]:
        """While the block runs, the connection is psycopg's: what arrives is not taken from under it."""
        if self._open:
            self._loop.remove_reader(self._socket)
        try:
            yield
        finally:
            if self._open:
                self._loop.add_reader(self._socket, self._arrived)

    def close(self) -> None:
        """Hear no more. The connection itself is the caller's to close."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            os.close(self._socket)

    async def execute(self, parameters: Sequence[bytes | None]) -> PGresult:
        """Send the statement with these parameters, each in the binary form of its type; return its rows, in binary.

        Raises:
            psycopg.Error: as the server said, or the connection was lost: it may have been executed.
        """
        if not self._is_prepared:
            self._pgconn.send_prepare(_PREPARED, self._statement)
            await self._answer()
            self._is_prepared = True
        formats = [Format.BINARY] * len(parameters)
        if self._prepares:
            self._pgconn.send_query_prepared(_PREPARED, parameters, formats, Format.BINARY)
        else:
            self._pgconn.send_query_params(self._statement, parameters, None, formats, Format.BINARY)
        return await self._answer()

    async def _answer(self) -> PGresult:
        answered = self._answered = self._loop.create_future()
        try:
            self._flush()
            await answered
            return self._result()
        finally:
            self._answered = None

    def _result(self) -> PGresult:
        found: PGresult | None = None
        while (result := self._pgconn.get_result()) is not None:
            # After a fatal error the connection's end may come as a result of its own: the first says why.
            if found is None or found.status not in _FAILED:
                found = result
        if found is None or found.status in _FAILED:
            raise self._lost() if found is None else error_from_result(found, "utf-8")
        return found

    def _arrived(self) -> None:
        try:
            self._pgconn.consume_input()
            if self._unsent:
                self._flush()
            if self._pgconn.is_busy():
                self._loop.call_soon(self._hear_on)
                return
        except psycopg.Error as error:
            self._fail(error)
            return
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _hear_on(self) -> None:
        """Put the socket under watch anew: there is more to come.

        uvloop gives up a descriptor for good when it reports an error, and says nothing of it. A server that died with
        a request unread leaves both behind, half an answer and an error: the half was read, the error never heard.
        """
        if self._open:
            self._loop.remove_reader(self._socket)
            self._loop.add_reader(self._socket, self._arrived)

    def _flush(self) -> None:
        if not self._open:
            raise self._lost()
        unsent = self._pgconn.flush() != 0
        if unsent and not self._unsent:
            self._loop.add_writer(self._socket, self._writable)
        elif self._unsent and not unsent:
            self._loop.remove_writer(self._socket)
        self._unsent = unsent

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._fail(error)

    def _fail(self, error: psycopg.Error) -> None:
        # A closed socket stays readable: heard on, it would keep the loop awake.
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _lost(self) -> psycopg.OperationalError:
        said = self._pgconn.get_error_message().strip()
        return psycopg.OperationalError(said or "the connection was lost")


_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE, ExecStatus.NONFATAL_ERROR})
