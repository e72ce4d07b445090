"""Text of others, made so that what is seen is what is there.

Characters that are not seen, or that change how others are shown, can make one text look like another: half of an
amount hidden, a line that reads backwards. They are written as escapes.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, lines: bool = False) -> str:
    """`text` with what is not seen written as escapes; line breaks too, unless it may have `lines`."""
    return "".join(char if _is_seen(char) or (lines and char == "\n") else _escaped(char) for char in text)


def visible_json(value: Any, *, indent: int | None = None) -> str:
    """JSON shapes with nothing in them that is not seen; over several lines where there is an `indent`."""
    return visible(json.dumps(value, indent=indent, ensure_ascii=False), lines=True)


def _is_seen(char: str) -> bool:
    if char.isascii():
        return char.isprintable()
    # Spaces of other widths look like the space, or like nothing.
    return unicodedata.category(char) not in _UNSEEN and not (
        char.isspace() or char in "\u2800\u3164\uffa0\u115f\u1160"
    )


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"  # noqa: PLR2004 - of four digits
