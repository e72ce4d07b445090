"""`holdfast version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import holdfast
from holdfast.cli.screen import print_json

_BENEATH = ("pydantic-ai-slim", "psycopg", "fastapi", "pydantic")


def versions() -> dict[str, str]:
    """Version by name."""
    found = {"holdfast": holdfast.__version__, "python": platform.python_version()}
    for name in _BENEATH:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def show_version(*, as_json: bool) -> None:
    """Print the versions."""
    if as_json:
        print_json(versions())
        return
    for name, number in versions().items():
        print(f"{name} {number}")  # noqa: T201 - a command speaks on its streams
