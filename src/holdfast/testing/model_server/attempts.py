"""Counts how often each turn of each conversation was asked for: all that a request cannot say itself."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Attempts:
    """Counters in this process and, if `state_file` is given, on disk, so that a restarted server counts on.

    The file has one line per request and belongs to one server at a time.
    """

    def __init__(self, state_file: Path | None = None) -> None:
        self._counts: Counter[str] = Counter()
        self._file: int | None = None
        if state_file is not None:
            if state_file.exists():
                self._counts.update(state_file.read_text(encoding="ascii").split())
            self._file = os.open(state_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def next(self, conversation: str, turn: int) -> int:
        """The number of this request among those for this turn, from 1."""
        key = f"{conversation}:{turn}"
        self._counts[key] += 1
        if self._file is not None:
            # One short write before anything is answered: a kill -9 of the server loses no count.
            os.write(self._file, f"{key}\n".encode())
        return self._counts[key]

    def close(self) -> None:
        """Close the state file. Counting again is an error."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
