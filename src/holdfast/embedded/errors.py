"""Why the embedded server cannot be had. Each text says what happened and what to do next."""

OUTSIDE = "or use a PostgreSQL of your own (15 or later) by setting HOLDFAST_DATABASE_URL"


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL cannot be used here; the message says what to do."""


class BinariesMissing(EmbeddedUnavailable):
    """No PostgreSQL programs of version 15 or later that run on this machine."""


class DataVersionMismatch(EmbeddedUnavailable):
    """The data directory was made by a PostgreSQL major version that is not here."""


class DirectoryNotUsable(EmbeddedUnavailable):
    """The data directory cannot be written, is another user's, or its disk is full."""


class StartFailed(EmbeddedUnavailable):
    """PostgreSQL was started and did not become ready. `log_tail` is the end of what it said."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail

    def __str__(self) -> str:
        return f"{self.args[0]}\n{self.log_tail}".rstrip()
