"""The bank: an outside world with books of its own, which no kill of a worker makes forget.

It writes down every call that arrives, and every payment. Refunds and transfers it pays once by idempotency key, as
banks do; a wire it pays each time it is told to.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

NO_KEYS = frozenset({"wire"})
_BOOKS = """
create table calls (run text, key text, tool text, "order" text, amount text, attempt int, pid int);
create table payments (run text, key text, tool text, "order" text, amount text);
create index calls_of on calls (run);
create index payments_of on payments (run);
create index payments_by on payments (key);
"""


@dataclass(frozen=True)
class Entry:
    """A call that arrived, or a payment."""

    key: str
    tool: str
    order: str
    amount: str


class Bank:
    def __init__(self, path: Path) -> None:
        self._path = path

    def found(self) -> None:
        """Open its books."""
        with self._books() as books:
            books.executescript(_BOOKS)

    def pay(self, entry: Entry, *, run: str, attempt: int, pid: int) -> None:
        """A call arrives; one transaction, whole or not at all."""
        said = (entry.key, entry.tool, entry.order, entry.amount)
        with self._books() as books:
            books.execute("begin immediate")
            books.execute("insert into calls values (?, ?, ?, ?, ?, ?, ?)", [run, *said, attempt, pid])
            if entry.tool in NO_KEYS or not books.execute("select 1 from payments where key = ?", said[:1]).fetchone():
                books.execute("insert into payments values (?, ?, ?, ?, ?)", [run, *said])
            books.execute("commit")

    def forget(self, entry: Entry) -> None:
        """As if it had never paid this."""
        with self._books() as books:
            books.execute("delete from payments where key = ?", [entry.key])

    def has_paid(self, key: str) -> bool:
        with self._books() as books:
            return books.execute("select 1 from payments where key = ?", [key]).fetchone() is not None

    def calls_of(self, run: str) -> list[Entry]:
        return self._entries("calls", run)

    def payments_of(self, run: str) -> list[Entry]:
        return self._entries("payments", run)

    def totals(self) -> tuple[int, int]:
        """All calls that arrived, and all payments."""
        with self._books() as books:
            [found] = books.execute("select (select count(*) from calls), (select count(*) from payments)")
            return found

    def _entries(self, table: str, run: str) -> list[Entry]:
        with self._books() as books:
            sql = f'select key, tool, "order", amount from {table} where run = ? order by rowid'
            return [Entry(*row) for row in books.execute(sql, [run])]

    @contextmanager
    def _books(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as books:
            books.execute("pragma synchronous = off")  # nobody cuts the power
            yield books
