"""A scripted provider of models, as a process of its own: its CPU is not the agent's."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def provider_of(script: str, folder: Path) -> Generator[str]:
    """The base URL of one that answers by this script, until the block ends."""
    path = folder / "script.yaml"
    path.write_text(script)
    command = [sys.executable, "-m", "holdfast.testing.model_server", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the provider did not start"
            yield url
        finally:
            process.terminate()
