"""Costs as CSV, for spreadsheets and billing."""

from __future__ import annotations

import csv
import io

from holdfast.service.cost_views import CostRowView, CostsView

_COLUMNS = [name for name in CostRowView.model_fields if name != "key"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def costs_csv(view: CostsView) -> str:
    """One line for each row, under a line of names. Users have their names beside their ids."""
    told = io.StringIO(newline="")
    writer = csv.writer(told, lineterminator="\r\n")
    named = ["user_name"] if "user" in view.by else []
    writer.writerow([*view.by, *named, *_COLUMNS])
    for row in view.items:
        names = [_cell(view.names.get(row.key["user"] or "", ""))] if named else []
        keys = [_cell(value) for value in row.key.values()]
        writer.writerow([*keys, *names, *(_plain(getattr(row, name)) for name in _COLUMNS)])
    return told.getvalue()


def _cell(text: str | None) -> str:
    # A spreadsheet takes a text that begins so for a formula, and these are names that others chose.
    return f"'{text}" if text and text.startswith(_FORMULA) else text or ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
