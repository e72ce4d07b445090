"""What a page of ours sends back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from holdfast.api.body import read_bytes

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_form(request: Request, limit: int = 4096) -> dict[str, str]:
    """The fields of a form, the last of a name winning.

    Raises:
        TooLarge: it has more than `limit` bytes.
        SlowBody: it took too long.
    """
    raw = await read_bytes(request, limit)
    return {name: values[-1] for name, values in parse_qs(raw.decode("ascii", "replace")).items()}
