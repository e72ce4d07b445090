"""Lengths of time as people write them."""

from __future__ import annotations

import re

_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_in(text: str) -> float:
    """How long `90s`, `10m`, `2.5h`, `30d` or `1d 12h` is, in seconds.

    Raises:
        ValueError: it is none of that form; the message says which are, to go on with in a sentence.
    """
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError("write numbers with s, m, h or d, as 90s, 10m, 12h, or 1d 12h")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
