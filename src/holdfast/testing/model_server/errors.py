"""What can be wrong with a script. The author of the script acts next, so the text names the place."""

from __future__ import annotations


class ScriptError(Exception):
    """A script is not valid or cannot answer a request. The message says where and what to change."""


class ScriptFileError(ScriptError):
    """A script file cannot be read or is not valid.

    `path` is the file and `problems` has one line per mistake, each beginning with its place
    (such as `scripts[0].turns[2].fault.status`).
    """

    def __init__(self, path: str, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{path} is not a valid model script:\n{listed}")
