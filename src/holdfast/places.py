"""Where in a TOML file each key stands, so that what is wrong with its value can be said with the line.

`tomllib` does not tell. This reads headers and keys line by line; where a file is written so that it cannot follow
(an array of inline tables), the nearest key around is found instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def lines_of(text: str) -> Mapping[str, int]:
    """The line of each key and table, by its `dotted` path."""
    found: dict[str, int] = {}
    indexes: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _opened(indexes, _parts(header[2]), is_array=header[1] == "[[")
            paths = [table[:end] for end in range(1, len(table) + 1)]
        elif key := _KEY.match(line):
            parts = _parts(key[1])
            paths = [(*table, *parts[:end]) for end in range(1, len(parts) + 1)]
        else:
            continue
        for path in paths:
            found.setdefault(dotted(path), number)
    return found


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: `oidc[0].roles.admins`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(path: Sequence[str | int], known: Mapping[str, str], otherwise: str) -> str:
    """What is known of the longest beginning of `path`."""
    names = (dotted(path[:end]) for end in range(len(path), 0, -1))
    return next((known[name] for name in names if name in known), otherwise)


def _parts(text: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, text)]


def _opened(indexes: dict[Path, int], parts: list[str], *, is_array: bool) -> Path:
    path: Path = ()
    for number, part in enumerate(parts, 1):
        path = (*path, part)
        if is_array and number == len(parts):
            indexes[path] = indexes.get(path, -1) + 1
        if path in indexes:
            path = (*path, indexes[path])
    return path
