"""Refused credentials by where they come from: who keeps guessing is told to wait."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address

BURST = 20
"""Refusals that one source may collect before it is told to wait."""
PER_S = 0.5
"""How fast they are forgiven."""
SOURCES_MOST = 10_000
"""The sources remembered. Beyond it the one longest quiet is forgotten, so that memory is bounded."""


_HOST_BITS = 64
"""Of an IPv6 address: what whoever has one network chooses freely."""


def neighbourhood(source: str) -> str:
    """What counts as one place where credentials come from.

    An IPv4 address is one. Of IPv6 it is a /64, the least that anybody is given: by addresses, whoever has one could
    guess 2^64 times as often. An IPv4 address written in IPv6 is the same as by itself. What is no address stays.
    """
    if ":" not in source:
        return source
    try:
        address = IPv6Address(source)
    except ValueError:
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/{128 - _HOST_BITS}"


@dataclass(slots=True)
class _Bucket:
    spent: float
    at: float


class Throttle:
    """A leaking bucket for each source. Kept in this process: with n replicas a source has n times as much.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, source: str) -> int:
        """How long this source has to wait before a refusal is told as one again; 0 where it has not."""
        bucket = self._buckets.get(source)
        if bucket is None:
            return 0
        over = self._spent(bucket) - BURST + 1
        return max(0, math.ceil(over / PER_S))

    def refused(self, source: str) -> None:
        """A credential from there was refused."""
        bucket = self._buckets.pop(source, None) or _Bucket(0.0, self._clock())
        self._buckets[source] = _Bucket(min(self._spent(bucket) + 1, BURST), self._clock())
        while len(self._buckets) > SOURCES_MOST:
            self._buckets.popitem(last=False)

    def _spent(self, bucket: _Bucket) -> float:
        return max(0.0, bucket.spent - (self._clock() - bucket.at) * PER_S)
