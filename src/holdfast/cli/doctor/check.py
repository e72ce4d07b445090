"""What one check of `holdfast doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it stands."""

    OK = "ok"
    NOTE = "note"
    """It works; there is something to know."""
    PROBLEM = "problem"
    """It does not work, or must not be left so."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was looked at, what was found, what to do."""

    name: str
    level: Level
    found: str
    advice: str = ""
