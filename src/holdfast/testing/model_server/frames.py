"""The unit a streamed answer is sent in."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson


class Frame(NamedTuple):
    """One server-sent event. Only pieces of text or arguments count for gates, cuts and delays per token."""

    data: bytes
    is_piece: bool = False


def event(payload: dict[str, Any], *, is_piece: bool = False) -> Frame:
    """A server-sent event of `payload`, named by its `type` if it has one."""
    name = payload.get("type")
    head = f"event: {name}\n".encode() if name else b""
    return Frame(b"%bdata: %b\n\n" % (head, orjson.dumps(payload)), is_piece)
