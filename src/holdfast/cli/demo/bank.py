"""The demo's bank: HTTP in front of a ledger in SQLite. It books each idempotency key once.

It can be told to *withhold its next answer to a refund*: the money is booked, and the caller hears nothing. That is
the worst moment for the caller to die, since nobody but the bank knows.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from pathlib import Path

OPENING_CENTS = 1_000_00
_SCHEMA = (
    "create table if not exists bookings (key text primary key, payment text, cents integer)",
    "create table if not exists requests (path text, key text, booked integer)",
    "create table if not exists cards (blocked_because text)",
    "create table if not exists letters (key text primary key, recipients text)",
)
_WITHHOLD_S = 120.0


class Booking(NamedTuple):
    """Money moved."""

    key: str
    payment: str
    cents: int


class Ledger:
    """The bank's own database. Every call is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as database:
            for statement in _SCHEMA:
                database.execute(statement)

    def refund(self, key: str, payment: str, cents: int) -> bool:
        """Book a refund unless its key is booked. Whether it was booked now."""
        with self._transaction() as database:
            booked = database.execute("insert or ignore into bookings values (?, ?, ?)", (key, payment, cents)).rowcount
            database.execute("insert into requests values ('/refunds', ?, ?)", (key, booked))
        return bool(booked)

    def block(self, reason: str) -> None:
        """Block the card."""
        with self._transaction() as database:
            database.execute("insert into cards values (?)", (reason,))
            database.execute("insert into requests values ('/block', null, 1)")

    def write(self, key: str, to: list[str]) -> None:
        """Send a letter unless its key has been seen."""
        with self._transaction() as database:
            database.execute("insert or ignore into letters values (?, ?)", (key, ", ".join(to)))

    def letters(self) -> list[str]:
        """Whom was written to, in order."""
        with self._transaction() as database:
            return [row[0] for row in database.execute("select recipients from letters order by rowid")]

    def account(self) -> dict[str, Any]:
        """The account as the agent sees it."""
        with self._transaction() as database:
            database.execute("insert into requests values ('/account', null, 0)")
            blocked = database.execute("select count(*) from cards").fetchone()[0]
        return {
            "balance": f"{self.balance_cents() / 100:.2f}",
            "card_blocked": bool(blocked),
            "payments": [{"payment": "taxi", "amount": "20.00"}, {"payment": "shop", "amount": "480.00"}],
        }

    def balance_cents(self) -> int:
        """What is on the account."""
        return OPENING_CENTS + sum(booking.cents for booking in self.bookings())

    def bookings(self) -> list[Booking]:
        """All money that was moved, in order."""
        with self._transaction() as database:
            return [
                Booking(*row) for row in database.execute("select key, payment, cents from bookings order by rowid")
            ]

    def requests(self, path: str) -> list[str | None]:
        """The keys of all requests that came to `path`, in order."""
        with self._transaction() as database:
            rows = database.execute("select key from requests where path = ? order by rowid", (path,)).fetchall()
        return [row[0] for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as database:
            database.execute("begin immediate")
            yield database
            database.execute("commit")


class Bank:
    """The bank, listening on loopback while it is entered."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.booked_unanswered = threading.Event()
        """A refund is booked, and its caller still waits for the answer."""
        self._withhold = threading.Event()
        self._let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def withhold_next_answer(self) -> None:
        """Book the next refund, and do not answer until `let_go`."""
        self._withhold.set()

    def let_go(self) -> None:
        """Answer whoever still waits."""
        self._let_go.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()

    def refund(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Book a refund, and perhaps keep silent about it."""
        cents = round(float(body["amount"]) * 100)
        self.ledger.refund(key, body["payment"], cents)
        if self._withhold.is_set():
            self._withhold.clear()
            self.booked_unanswered.set()
            self._let_go.wait(_WITHHOLD_S)
        return {"payment": body["payment"], "refunded": body["amount"]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bank = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(bank.ledger.account())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/block":
                    bank.ledger.block(body["reason"])
                    self._answer({"blocked": True})
                elif self.path == "/letters":
                    bank.ledger.write(self.headers["Idempotency-Key"], body["to"])
                    self._answer({"sent": True})
                else:
                    self._answer(bank.refund(self.headers["Idempotency-Key"], body))

            def _answer(self, value: dict[str, Any]) -> None:
                with suppress(OSError):  # the one who asked may be dead
                    raw = json.dumps(value).encode()
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)

            def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - the name it has in the base class
                """Keep quiet: the demo tells what happens."""

        return Handler
