"""What all views have in common, and how content is shown in them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """What all views have in common."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class ContentView(View):
    """One piece of content, as far as it can be shown."""

    value: Any = None
    """The content, where it is neither erased nor truncated."""
    truncated: bool = False
    """It is larger than is shown here: `text` holds its beginning."""
    text: str | None = None
    size_bytes: int | None = None
    """Its whole size, where it was truncated."""
    erased: bool = False
    """It is shown to nobody any more: its subject's key was destroyed, or its session deleted."""
    missing: bool = False
    """The journal names it, but it is not stored."""
