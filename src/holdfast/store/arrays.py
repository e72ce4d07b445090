"""Arrays in PostgreSQL's binary format, written in one pass.

psycopg's own array dumper asks each element for its type, in Python: for the twenty arrays of an append that
is most of its cost. Here an array of one known type is a header and a join.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct

_header = Struct(">iiiii").pack
_length = Struct(">i").pack
_POSTGRES_EPOCH_US = 946_684_800_000_000
_INT4, _INT8, _BYTEA, _TEXT, _TIMESTAMPTZ, _UUID = 23, 20, 17, 25, 1184, 2950
"""Type ids of elements, as an array's header names them."""


def uuids(values: Sequence[bytes]) -> bytes:
    """From 16 bytes each."""
    return _joined(_UUID, 16, values)


def hashes(values: Sequence[bytes]) -> bytes:
    """A `bytea[]` from 32 bytes each."""
    return _joined(_BYTEA, 32, values)


def bytea(values: Sequence[bytes]) -> bytes:
    """From bytes of any length."""
    return _varying(_BYTEA, values)


def text(values: Sequence[bytes]) -> bytes:
    """From UTF-8."""
    return _varying(_TEXT, values)


def ints(values: Sequence[int]) -> bytes:
    """From integers of 32 bits."""
    return _numbers(_INT4, 4, "i", values)


def bigints(values: Sequence[int]) -> bytes:
    """From integers of 64 bits."""
    return _numbers(_INT8, 8, "q", values)


def timestamps(values: Sequence[int]) -> bytes:
    """A `timestamptz[]` from microseconds since the Unix epoch."""
    return _numbers(_TIMESTAMPTZ, 8, "q", [value - _POSTGRES_EPOCH_US for value in values])


def _numbers(element: int, size: int, code: str, values: Sequence[int]) -> bytes:
    if not values:
        return _empty(element)
    # Length and value alternate: one pack of all.
    flat = [size] * (2 * len(values))
    flat[1::2] = values
    return _packer(code, len(values))(1, 0, element, len(values), 1, *flat)


@lru_cache(maxsize=2048)
def _packer(code: str, count: int) -> Callable[..., bytes]:
    return Struct(">iiiii" + f"i{code}" * count).pack


def _joined(element: int, size: int, values: Sequence[bytes]) -> bytes:
    if not values:
        return _empty(element)
    length = _length(size)
    return _header(1, 0, element, len(values), 1) + length + length.join(values)


def _varying(element: int, values: Sequence[bytes]) -> bytes:
    if not values:
        return _empty(element)
    lengths = map(_length, map(len, values))
    return _header(1, 0, element, len(values), 1) + b"".join(chain.from_iterable(zip(lengths, values, strict=True)))


def _empty(element: int) -> bytes:
    return _header(0, 0, element, 0, 0)[:12]
