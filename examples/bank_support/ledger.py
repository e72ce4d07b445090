"""The bank's own database: accounts, and a ledger that books each key once.

It stands for a system that Holdfast does not own. All it must offer is what good payment systems do: a request
that carries a key it has seen is answered as the first was, and moves nothing.
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

_SCHEMA = """
create table if not exists accounts (
    customer text primary key,
    balance_cents integer not null,
    card_blocked_because text
);
create table if not exists bookings (
    key text primary key,
    customer text not null references accounts,
    cents integer not null,
    reason text not null
);
"""
_OPENING_CENTS = 123_45
_WAIT_S = 30.0


@dataclass(frozen=True)
class Account:
    """An account as it stands."""

    balance: Decimal
    card_blocked: bool


@dataclass(frozen=True)
class Booking:
    """Money moved."""

    key: str
    amount: Decimal
    reason: str


class Ledger:
    """The bank, in a file. Every call is one transaction; any number of processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as database:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)

    def open_account(self, customer: str) -> None:
        """Give a new customer an account with a little money on it."""
        with self._transaction() as database:
            database.execute("insert or ignore into accounts values (?, ?, null)", (customer, _OPENING_CENTS))

    def account(self, customer: str) -> Account:
        """The account of a customer. Raises `KeyError` where there is none."""
        with self._transaction() as database:
            row = database.execute(
                "select balance_cents, card_blocked_because is not null from accounts where customer = ?", (customer,)
            ).fetchone()
        if row is None:
            raise KeyError(customer)
        return Account(_amount(row[0]), bool(row[1]))

    def block_card(self, customer: str, reason: str) -> None:
        """Block the card. Blocking a blocked card changes nothing, so this needs no key."""
        with self._transaction() as database:
            database.execute(
                "update accounts set card_blocked_because = ? where customer = ? and card_blocked_because is null",
                (reason, customer),
            )

    def credit(self, key: str, customer: str, amount: Decimal, reason: str) -> Booking:
        """Pay `amount` to the customer, once for each `key`; the same key again gives the first booking."""
        cents = int(amount * 100)
        with self._transaction() as database:
            booked = database.execute(
                "insert or ignore into bookings values (?, ?, ?, ?)", (key, customer, cents, reason)
            ).rowcount
            database.execute(
                "update accounts set balance_cents = balance_cents + ? where customer = ?", (cents * booked, customer)
            )
            return _booking(
                database.execute("select key, cents, reason from bookings where key = ?", (key,)).fetchone()
            )

    def bookings(self, customer: str) -> list[Booking]:
        """All that was booked for a customer."""
        with self._transaction() as database:
            rows = database.execute(
                "select key, cents, reason from bookings where customer = ?", (customer,)
            ).fetchall()
        return [_booking(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        with closing(sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)) as database:
            database.execute("begin immediate")
            yield database
            database.execute("commit")


def _booking(row: tuple[str, int, str]) -> Booking:
    return Booking(row[0], _amount(row[1]), row[2])


def _amount(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
