"""The settings of a command: its flags over environment, file and defaults."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from holdfast.settings import Settings


before_command: dict[str, Any] = {}
"""The options that were given before the command's name."""


class Invoked(NamedTuple):
    """The command that runs, for the audit log of the tenant it runs in."""

    verb: str = ""
    """As `runs show`."""
    named: tuple[str, ...] = ()
    """The arguments by which it names things, as they were typed. No others: they may be content."""


invoked = ContextVar[Invoked]("invoked")


def load_settings(**flags: Any) -> Settings:
    """The settings, with the flags that were given on top.

    Raises:
        UserError: a setting is wrong; the message names its place.
    """
    from holdfast.settings import Settings

    return Settings.load(before_command | flags)


def app_of(settings: Settings) -> str:
    """The name of the application to serve.

    Raises:
        UserError: none was named anywhere.
    """
    from holdfast.domain.errors import UserError

    if settings.app is None:
        raise UserError(
            "No application is named. Write it on the command line, as in `holdfast dev app.py:app`, or as `app` in "
            "holdfast.toml."
        )
    return settings.app
