"""`holdfast config show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.screen import out, print_json, table

if TYPE_CHECKING:
    from holdfast.settings import Settings


def show_config(settings: Settings, *, as_json: bool) -> None:
    """Print every setting, its value, and where it came from."""
    shown = settings.show()
    if as_json:
        print_json([line._asdict() for line in shown])
        return
    made = table("setting", "value", "from")
    for line in shown:
        made.add_row(line.name, line.value, line.origin)
    out().print(made)
