"""Requests that come again: the same key with the same request makes nothing twice, whatever became of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from holdfast.domain.errors import IdempotencyConflict, InvalidInput
from holdfast.domain.principal import Who
from holdfast.service.services import Services
from holdfast.store.idempotency import Idempotency, accepted_before

KEY_CHARS = 255


def check_idempotency_key(key: str | None) -> None:
    """Refuse a key that could not be sent, stored or told apart.

    Raises:
        InvalidInput: it is empty, too long, or not printable ASCII.
    """
    if key is not None and not (0 < len(key) <= KEY_CHARS and key.isascii() and key.isprintable()):
        raise InvalidInput(f"The idempotency key has to be 1 to {KEY_CHARS} printable ASCII characters, as a UUID is.")


async def keyed(services: Services, who: Who, use: str, key: str | None, said: Mapping[str, Any]) -> Idempotency | None:
    """A caller's key for one use, with the digest of what they said. None where they sent none.

    The digest is keyed, so that nobody who reads it can test a guess at a name or an address.

    Raises:
        InvalidInput: the key does not fit.
    """
    check_idempotency_key(key)
    if key is None:
        return None
    theirs = await services.subject_key(who.tenant, who.principal)
    request = theirs.digest(f"{use}\n".encode() + orjson.dumps(said, option=orjson.OPT_SORT_KEYS))
    return Idempotency(f"{use}:{who.principal}", key, request)


async def made_before(services: Services, tenant: UUID, idempotency: Idempotency | None) -> UUID | None:
    """What the first request with this key made; None where none came.

    Raises:
        IdempotencyConflict: the key came with another request.
    """
    before = idempotency and await accepted_before(services.db, tenant, idempotency)
    if before is None:
        return None
    if before.outcome == "conflict":
        raise IdempotencyConflict(
            "This idempotency key was used before with a different request, and nothing was made. Send the first "
            "request again to get its answer, or use a new key for a new one."
        )
    return before.made
