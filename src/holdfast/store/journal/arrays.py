"""Arrays in PostgreSQL's binary format, written in one pass.

psycopg's own array dumper asks each element for its type, in Python: for the twenty arrays of an append that
is most of its cost. Here an array of one known type is a header and a join.
"""

from collections.abc import Sequence
from struct import Struct

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_header = Struct(">iiiii").pack
_length = Struct(">i").pack
_int4 = Struct(">i").pack
_int8 = Struct(">q").pack
_POSTGRES_EPOCH_US = 946_684_800_000_000
_LEN4, _LEN8, _LEN16, _LEN32 = (_length(size) for size in (4, 8, 16, 32))


class Array(bytes):
    """An encoded array. The subclass says of what, to psycopg."""

    __slots__ = ()
    element = 0
    """Type id of an element, as the array's header names it."""


class UuidArray(Array):
    """`uuid[]`."""

    element = 2950


class ByteaArray(Array):
    """`bytea[]`."""

    element = 17


class TextArray(Array):
    """`text[]`."""

    element = 25


class IntArray(Array):
    """`int[]`."""

    element = 23


class BigintArray(Array):
    """`bigint[]`."""

    element = 20


class TimestamptzArray(Array):
    """`timestamptz[]`."""

    element = 1184


_ARRAY_OIDS: dict[type[Array], int] = {
    UuidArray: 2951,
    ByteaArray: 1001,
    TextArray: 1009,
    IntArray: 1007,
    BigintArray: 1016,
    TimestamptzArray: 1185,
}


def register(connection: AsyncConnection[object]) -> None:
    """Let this connection take arrays encoded here as parameters."""
    for cls, oid in _ARRAY_OIDS.items():
        dumper = type(f"{cls.__name__}Dumper", (_EncodedDumper,), {"oid": oid})
        connection.adapters.register_dumper(cls, dumper)


class _EncodedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Buffer) -> Buffer:
        return obj


def uuids(values: Sequence[bytes]) -> UuidArray:
    """From 16 bytes each."""
    return UuidArray(_fixed(UuidArray.element, _LEN16, values))


def hashes(values: Sequence[bytes]) -> ByteaArray:
    """From 32 bytes each."""
    return ByteaArray(_fixed(ByteaArray.element, _LEN32, values))


def bytea(values: Sequence[bytes]) -> ByteaArray:
    """From bytes of any length."""
    return ByteaArray(_varying(ByteaArray.element, values))


def text(values: Sequence[bytes]) -> TextArray:
    """From UTF-8."""
    return TextArray(_varying(TextArray.element, values))


def ints(values: Sequence[int]) -> IntArray:
    """From integers of 32 bits."""
    return IntArray(_fixed(IntArray.element, _LEN4, [_int4(value) for value in values]))


def bigints(values: Sequence[int]) -> BigintArray:
    """From integers of 64 bits."""
    return BigintArray(_fixed(BigintArray.element, _LEN8, [_int8(value) for value in values]))


def timestamps(values: Sequence[int]) -> TimestamptzArray:
    """From microseconds since the Unix epoch."""
    encoded = [_int8(value - _POSTGRES_EPOCH_US) for value in values]
    return TimestamptzArray(_fixed(TimestamptzArray.element, _LEN8, encoded))


def _fixed(element: int, length: bytes, values: Sequence[bytes]) -> bytes:
    if not values:
        return _header(0, 0, element, 0, 0)[:12]
    return _header(1, 0, element, len(values), 1) + length + length.join(values)


def _varying(element: int, values: Sequence[bytes]) -> bytes:
    if not values:
        return _header(0, 0, element, 0, 0)[:12]
    parts = [_header(1, 0, element, len(values), 1)]
    for value in values:
        parts.append(_length(len(value)))
        parts.append(value)
    return b"".join(parts)
