"""One line of the table: what was promised, what was measured, whether it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measured figure beside its bar."""

    name: str
    measured: float
    unit: str = ""
    bar: float | None = None
    """None: reported, and held to nothing."""
    kind: Literal["at most", "at least"] = "at most"
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the figure was made of; goes to the JSON, and the notable part to `note`."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.bar is None:
            return None
        return self.measured <= self.bar if self.kind == "at most" else self.measured >= self.bar

    @property
    def bar_text(self) -> str:
        """The bar as the table prints it."""
        if self.bar is None:
            return ""
        return f"{'≤' if self.kind == 'at most' else '≥'} {_figure(self.bar)}{_unit(self.unit)}"

    @property
    def measured_text(self) -> str:
        """The figure as the table prints it."""
        return f"{_figure(self.measured)}{_unit(self.unit)}"

    def as_json(self) -> dict[str, Any]:
        """The row as `results.json` holds it."""
        return {
            "name": self.name,
            "bar": self.bar,
            "kind": self.kind,
            "measured": round(self.measured, 4),
            "unit": self.unit,
            "met": self.met,
            "note": self.note,
            "details": self.details,
        }


def _figure(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
