"""JSON and base64url read so that a text has one meaning or none.

Two readers that understand one token differently are how forgeries pass: a repeated key of which one reader takes the
first and another the last, or spare bits at the end of a base64 text that may be anything.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NoReturn, cast

Json = Mapping[str, Any]


def json_object(raw: bytes) -> Json:
    """The object of `raw`: UTF-8, no key twice, no NaN or Infinity.

    Raises:
        ValueError: it is not such an object.
    """
    try:
        found: object = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what is wrong is the text
    return cast("Json", found)


def from_base64url(text: str) -> bytes:
    """The bytes of `text`, unpadded base64url in its one canonical form.

    Raises:
        ValueError: it is not.
    """
    found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(found).rstrip(b"=") != text.encode():
        raise ValueError("not canonical base64url")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
