"""The settings of a command: its flags over environment, file and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.settings import Settings


before_command: dict[str, Any] = {}
"""The options that were given before the command's name."""


invoked: dict[str, str] = {}
"""`command`: the name of the command or group. Not what it was given: arguments may be content."""


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
