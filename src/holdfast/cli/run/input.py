"""The input of a run as it is given on a command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.domain.errors import InvalidInput

if TYPE_CHECKING:
    from holdfast.task import Task


def read_input(task: Task, given: str) -> Any:
    """The input as JSON shapes: the text itself for a task that takes text, else JSON, else the text.

    `@file` reads a file, `-` standard input; `@@` begins a text with `@`.

    Raises:
        InvalidInput: the file cannot be read, or holds half of a JSON document.
    """
    text = _text(given)
    if task.input is str:
        return text
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith(("{", "[")):
            raise InvalidInput(f"The input begins as JSON and is none: {error}.") from error
        # Not JSON: a date or an enumeration is written bare. What does not fit is told by the task's type.
        return text


def _text(given: str) -> str:
    if given == "-":
        return sys.stdin.read()
    if given.startswith("@@"):
        return given[1:]
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"The input {given[1:]} cannot be read: {error}. To send text that begins with @, write @@."
        ) from error
