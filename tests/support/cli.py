"""The command line as a process of its own: what users and scripts meet. Forked, as `support.forked` says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from support import forked

APP = f"{Path(__file__).with_name('cli_app.py')}:app"
KEY = "00" * 32
TIMEOUT_S = 120


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Cli:
    """`holdfast`, run in `folder` on `database`, or on an embedded one in the folder."""

    def __init__(self, folder: Path, database: Any = None, **environment: str) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
        self.environment = {**kept, "HOLDFAST_LEASE_S": "2", "COLUMNS": "200", **environment}
        if database is not None:
            self.environment |= {"HOLDFAST_DATABASE_URL": database.url, "HOLDFAST_KEY": KEY}

    def __call__(self, *arguments: str, stdin: str | None = None, **environment: str) -> Ended:
        command = self.command(*arguments)
        return Ended(
            *forked.run(command, input=stdin, cwd=self.folder, env=self.environment | environment, timeout=TIMEOUT_S)
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command that stays; the test ends it."""
        return forked.start(self.command(*arguments), text=True, cwd=self.folder, env=self.environment, **options)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "holdfast.cli", *arguments]
