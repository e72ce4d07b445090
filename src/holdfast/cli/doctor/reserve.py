"""Whether a halt gets through when every connection of the server is taken."""

from __future__ import annotations

from holdfast.cli.doctor.check import Check, Level
from holdfast.store.roles import HALT_LOGIN, halt_reserve

_WAITS = "when every connection is taken, `holdfast halt` waits for the first that is free"


def check_reserve(url: str, login: str) -> Check:
    """What the server at `url`, which was reached before, keeps for halts. Nothing kept is no fault: halts wait then.

    Args:
        url: of the server.
        login: as whom this machine declares halts.

    Raises:
        psycopg.Error: it is gone meanwhile.
    """
    kept, granted = halt_reserve(url, login)
    if kept is None:
        return _note(f"before PostgreSQL 16 nothing can be kept for them: {_WAITS}", "")
    if not kept:
        return _note(f"no connection is kept for them: {_WAITS}", "Set reserved_connections; docs/halts.md says how.")
    if not granted:
        return _note(
            f"{kept} connections are kept, and not for {login}, as whom this machine halts: {_WAITS}",
            f"Let whoever owns the server GRANT pg_use_reserved_connections TO {HALT_LOGIN}, and give the terminal "
            "that halts a URL with that login.",
        )
    return Check("halts", Level.OK, f"{kept} connections are kept for them")


def _note(found: str, advice: str) -> Check:
    return Check("halts", Level.NOTE, found, advice)
