"""Why a token is refused: one stable word each. They go to the audit log, never to whoever asks."""

from __future__ import annotations

from enum import StrEnum
from typing import Never

from holdfast.domain.errors import Unauthenticated


class Reason(StrEnum):
    """docs/identity-oidc.md explains them to whoever reads the log."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNKNOWN_ISSUER = "unknown-issuer"
    WRONG_TYPE = "wrong-type"
    WRONG_ALGORITHM = "wrong-algorithm"
    CRITICAL_HEADER = "critical-header"
    KEYS_UNAVAILABLE = "keys-unavailable"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_AUDIENCE = "wrong-audience"
    SENDER_CONSTRAINED = "sender-constrained"
    NO_SUBJECT = "no-subject"
    NO_TENANT = "no-tenant"


def refuse(reason: Reason) -> Never:
    """Refuse, and let no cause through: the message of an inner error could repeat the token.

    Raises:
        Unauthenticated: always.
    """
    raise Unauthenticated(reason.value) from None
