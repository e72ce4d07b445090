"""How the demos' agents speak to the bank."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.request import Request, urlopen

_TIMEOUT_S = 60.0


def bank(method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    """What the bank answers. `key` is handed on, so that it knows a request again."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    request = Request(  # noqa: S310 - the demo's own bank, on loopback
        os.environ["BANK_URL"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers=headers,
        method=method,
    )
    with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
        return json.load(response)
