"""What is wrong with a policy, and where. All of it at once: who writes a policy mends more than one line at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from holdfast.domain.errors import UserError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    line: int
    """From 1; 0 where the whole file is meant."""
    column: int
    what: str
    """What is wrong: one sentence."""
    advice: str = ""
    """What to do."""
    suggestion: str | None = None
    """The name that was probably meant."""

    def told(self, path: str) -> str:
        """The fault in one line, as compilers write it."""
        place = f"{path}:{self.line}:{self.column}" if self.line else path
        meant = f" Did you mean '{self.suggestion}'?" if self.suggestion is not None else ""
        return f"{place}: {self.what}{meant}{f' {self.advice}' if self.advice else ''}"


class PolicyError(UserError):
    """A policy that is refused: it cannot be read, or says what cannot be meant."""

    def __init__(self, path: str, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(fault.told(path) for fault in faults))
        self.path = path
        self.faults = tuple(faults)

    @property
    def line(self) -> int:
        """Where the first fault is, from 1; 0 where the whole file is meant."""
        return self.faults[0].line

    @property
    def column(self) -> int:
        """Where in that line, from 1."""
        return self.faults[0].column

    @property
    def suggestion(self) -> str | None:
        """What was probably meant instead of the first."""
        return self.faults[0].suggestion


def closest(word: str, known: Iterable[str]) -> str | None:
    """The name among `known` that `word` is probably a slip of."""
    spelled = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), spelled, n=1, cutoff=0.6)
    return spelled[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, in order."""
    return ", ".join(names) or "none"
