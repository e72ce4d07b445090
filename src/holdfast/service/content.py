"""Content from people, made fit to be stored, and refused where it is not."""

from __future__ import annotations

import math
from typing import Any

import orjson

from holdfast.domain.errors import InvalidInput, TooLarge

_TOO_DEEP = 128


def to_json(value: Any, *, what: str, max_bytes: int, one_form: bool = False) -> bytes:
    """`value` (JSON shapes) as the bytes to seal. `what` names it in errors; in `one_form` keys are in order.

    Raises:
        InvalidInput: it holds a NUL, a lone surrogate, a number that is not finite or beyond 64 bits, or nests
            too deep.
        TooLarge: it has more than `max_bytes`.
    """
    _check(value, what, 0)
    try:
        plain = orjson.dumps(value, option=orjson.OPT_SORT_KEYS if one_form else 0)
    except TypeError as error:
        raise InvalidInput(f"The {what} cannot be written as JSON: {error}.") from error
    if len(plain) > max_bytes:
        raise TooLarge(
            f"The {what} has {len(plain):,} bytes; the limit is {max_bytes:,}. Send less, or a reference to it."
        )
    return plain


def check_text(text: str, *, what: str) -> str:
    """`text`, if it can be stored.

    Raises:
        InvalidInput: it holds a NUL or a lone surrogate.
    """
    if "\0" in text:
        raise InvalidInput(f"The {what} holds a NUL character (U+0000), which cannot be stored. Remove it.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput(
            f"The {what} holds half of a surrogate pair, which is not text. A string was cut inside a character."
        )
    return text


def check_json(value: Any, *, what: str) -> None:
    """Refuse JSON shapes that could not be stored.

    Raises:
        InvalidInput: as `to_json`.
    """
    _check(value, what, 0)


def _check(value: Any, what: str, depth: int) -> None:
    if depth > _TOO_DEEP:
        raise InvalidInput(f"The {what} nests deeper than {_TOO_DEEP} levels. Flatten it.")
    match value:
        case str():
            check_text(value, what=what)
        case float() if not math.isfinite(value):
            raise InvalidInput(f"The {what} holds a number that is not finite, which JSON does not know.")
        case dict():
            for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
                _check(key, what, depth + 1)
                _check(item, what, depth + 1)
        case list() | tuple():
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                _check(item, what, depth + 1)
        case _:
            pass
