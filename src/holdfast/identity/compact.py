"""A token taken apart: the compact serialization of RFC 7515, strictly."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.identity.reasons import Reason, refuse
from holdfast.identity.strict import Json, from_base64url, json_object

MAX_TOKEN_BYTES = 16 * 1024
"""What is longer is not read. A provider that lists hundreds of groups in a token stays below."""


@dataclass(frozen=True, slots=True)
class Compact:
    """A token as it was sent. None of it is to be believed yet."""

    header: Json
    payload: Json
    signed: bytes
    """The bytes the signature is of."""
    signature: bytes


def take_apart(token: str) -> Compact:
    """The parts of `token`.

    Raises:
        Unauthenticated: it is too large, or no such text.
    """
    if len(token) > MAX_TOKEN_BYTES:
        refuse(Reason.TOO_LARGE)
    signed, _, _ = token.rpartition(".")
    try:
        header, payload, signature = map(from_base64url, token.split("."))
        return Compact(json_object(header), json_object(payload), signed.encode(), signature)
    except ValueError:  # of the number of parts, too
        refuse(Reason.MALFORMED)
