"""What errors of PostgreSQL mean to us, by SQLSTATE. The one place that knows.

Three kinds matter. *Connection lost*: the server or the way to it went away, or has no room; whatever was
being done may or may not have happened. *Retryable*: the server undid the transaction and asks to be tried
again. Everything else is a fact about the request and surfaces with its cause.
"""

import psycopg

from holdfast.domain.errors import DatabaseUnavailable

_CONNECTION_EXCEPTION = "08"
_LOST = frozenset(
    {
        "57P01",  # admin shutdown
        "57P02",  # crash shutdown
        "57P03",  # cannot connect now: starting or stopping
        "57P05",  # idle session timeout
        "25P03",  # idle in transaction timeout
        "25P04",  # transaction timeout
        "53300",  # too many connections
        "25006",  # read-only transaction: a standby, as just after a fail-over
    }
)
_RETRYABLE = frozenset(
    {
        "40001",  # serialization failure
        "40P01",  # deadlock
    }
)


_LOGIN_REFUSED = (
    "authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist",
    "permission denied for database", "is not permitted to log in",
)  # fmt: skip
"""In a refused connection's text, for libpq hands on no SQLSTATE of one. A server that speaks another language is only
waited for in vain by who waits for it."""
_FOR_THE_MOMENT = ("too many", "connection slots", "starting up", "shutting down", "recovery mode")
"""The same of what passes. Where libpq tried twice, with TLS and without, it says both reasons."""


def is_login_refused(error: psycopg.OperationalError) -> bool:
    """Whether a connection was refused for what is asked for, and not for the moment at which it is."""
    said = str(error)
    return any(words in said for words in _LOGIN_REFUSED) and not any(words in said for words in _FOR_THE_MOMENT)


def is_connection_lost(error: BaseException) -> bool:
    """Whether the server or the way to it went away; what was being done may or may not have happened."""
    if not isinstance(error, psycopg.Error):
        return isinstance(error, OSError)
    if error.sqlstate is None:
        # Errors that no server sent: the socket broke, the connection was closed, the pool waited in vain.
        return isinstance(error, psycopg.OperationalError) or (
            isinstance(error, psycopg.InterfaceError) and "closed" in str(error)
        )
    return error.sqlstate in _LOST or error.sqlstate.startswith(_CONNECTION_EXCEPTION)


_OF_ROWS = frozenset({"22", "23", "54"})
"""The classes of data exceptions, of constraints that do not hold, and of what is larger than PostgreSQL stores."""
_NO_TABLE = "42P01"


def is_of_rows(error: BaseException) -> bool:
    """Whether rows do not fit where they were to be stored: a value, a constraint, or the table they name."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # refused before it was sent
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in _OF_ROWS or error.sqlstate == _NO_TABLE


def is_retryable(error: BaseException) -> bool:
    """Whether the server undid the transaction and the same again may succeed."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _RETRYABLE


def retryable(error: BaseException) -> bool:
    """Whether what is safe to repeat should be repeated after this error."""
    return is_connection_lost(error) or is_retryable(error)


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """The error for whoever runs the installation. Its cause is `error`."""
    found = DatabaseUnavailable(
        f"The database could not be reached: {str(error).strip() or type(error).__name__}. "
        "Check that PostgreSQL runs and accepts this login, and that HOLDFAST_DATABASE_URL points to it."
    )
    found.__cause__ = error
    return found
