"""The command line as a process of its own: what users and scripts meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

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
        ended = subprocess.run(
            self.command(*arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment | environment,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command that stays; the test ends it."""
        return subprocess.Popen(self.command(*arguments), text=True, cwd=self.folder, env=self.environment, **options)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "holdfast.cli", *arguments]
