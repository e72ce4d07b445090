"""The embedded PostgreSQL: one server per data directory, alive exactly as long as somebody holds it.

    with acquire(Path(".holdfast/pg")) as server:
        psycopg.connect(server.dsn)

Each holder keeps a *shared* file lock that its death releases. A small supervisor process is the
parent of the server and waits for the *exclusive* lock: it gets it when the last holder is gone,
and stops the server while it has it, so a newcomer waits for the stop and then starts afresh. The
kernel kills the server when the supervisor dies (Linux); every holder watches the supervisor and
puts a new one in its place. README.md beside this file tells the whole protocol.

This package imports nothing else from Holdfast and only the standard library, and little of that.
"""

from .errors import BinariesMissing, DataVersionMismatch, DirectoryNotUsable, EmbeddedUnavailable, StartFailed
from .server import EmbeddedServer, acquire
from .status import EmbeddedStatus, status, until_stopped

__all__ = [
    "BinariesMissing",
    "DataVersionMismatch",
    "DirectoryNotUsable",
    "EmbeddedServer",
    "EmbeddedStatus",
    "EmbeddedUnavailable",
    "StartFailed",
    "acquire",
    "status",
    "until_stopped",
]
