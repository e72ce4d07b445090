"""Checks of this machine: versions, port, wrapping key."""

from __future__ import annotations

import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli.doctor.check import Check, Level
from holdfast.cli.version import versions
from holdfast.domain.errors import KeyUnavailable
from holdfast.store.vault import WrappingKey

if TYPE_CHECKING:
    from holdfast.settings import Settings

_AGENTS = "pydantic-ai-slim"
_AGENTS_MAJOR, _AGENTS_MINOR = 2, 68
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_versions() -> Check:
    """Holdfast, and whether the Pydantic AI beside it is one it was made for."""
    found = versions()
    number = found[_AGENTS]
    told = f"holdfast {found['holdfast']}, pydantic-ai {number}, Python {found['python']}"
    major, minor = (int(part) if part.isdigit() else 0 for part in [*number.split("."), "0", "0"][:2])
    if major == _AGENTS_MAJOR and minor >= _AGENTS_MINOR:
        return Check("versions", Level.OK, told)
    return Check(
        "versions",
        Level.PROBLEM,
        told,
        f"Holdfast needs pydantic-ai from {_AGENTS_MAJOR}.{_AGENTS_MINOR} up to, not including, {_AGENTS_MAJOR + 1}: "
        f"install `{_AGENTS}>={_AGENTS_MAJOR}.{_AGENTS_MINOR},<{_AGENTS_MAJOR + 1}`.",
    )


def check_port(settings: Settings) -> Check:
    """Whether the API could listen."""
    place = f"{settings.host}, port {settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        return Check(
            "api port",
            Level.NOTE,
            f"{place}: {error.strerror or error}",
            "If that is not a `holdfast serve` or `holdfast dev` of yours, choose another by HOLDFAST_PORT.",
        )
    return Check("api port", Level.OK, f"{place} is free")


def check_key(settings: Settings) -> Check:
    """Where the wrapping key lies, and what that means."""
    try:
        return _named(settings) or _beside_the_data(settings)
    except KeyUnavailable as error:
        return Check("wrapping key", Level.PROBLEM, str(error))


def _named(settings: Settings) -> Check | None:
    if settings.key is not None:
        key = WrappingKey.from_text(settings.key, source=settings.origin("key"))
        return Check("wrapping key", Level.OK, f"{key.id}, from {settings.origin('key')}")
    if settings.key_file is not None:
        key = WrappingKey.from_file(settings.key_file)
        return _of_file(settings.key_file, key, Check("wrapping key", Level.OK, f"{key.id}, in {settings.key_file}"))
    if settings.database_url is None:
        return None
    return Check(
        "wrapping key",
        Level.PROBLEM,
        "an outside database is used, and no wrapping key is set",
        "Make one with `openssl rand -base64 32`, keep it safe, and give every process the same by HOLDFAST_KEY_FILE.",
    )


def _beside_the_data(settings: Settings) -> Check:
    path = settings.data_dir / "key"
    if not path.exists():
        if (settings.data_dir / "pg").exists():
            return Check(
                "wrapping key",
                Level.PROBLEM,
                f"{path} is gone; the content in the database beside it cannot be read without it",
                f"Restore it. To start anew without the old runs, move {settings.data_dir} away.",
            )
        return Check("wrapping key", Level.OK, f"none yet; {path} is made on first use")
    key = WrappingKey.from_file(path)
    return _of_file(
        path,
        key,
        Check(
            "wrapping key",
            Level.NOTE,
            f"{key.id}, in {path}, next to the data it protects",
            "Right for development: whoever copies the directory can read the content. In production keep it apart, "
            "and name it by HOLDFAST_KEY_FILE. Without it no content can be read: back it up apart from the data.",
        ),
    )


def _of_file(path: Path, key: WrappingKey, fine: Check) -> Check:
    if path.stat().st_mode & _OTHERS:
        return Check(
            "wrapping key",
            Level.PROBLEM,
            f"{key.id}, in {path}, which other users of this machine may read",
            f"chmod 600 {path}",
        )
    return fine
