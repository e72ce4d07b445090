"""A JSON Web Key Set: which keys of it are good for what. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry

from holdfast.identity.strict import Json, from_base64url, json_object

MAX_KEY_SET_BYTES = 256 * 1024
_MAX_KEYS = 100
_KINDS = ("RSA", "EC", "OKP")
_RSA_BYTES = range(2048 // 8, 8192 // 8 + 1)
"""Shorter moduli can be broken; longer ones make each check slow."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of an issuer."""

    kid: str | None
    key: Key
    expires_s: float | None
    """From when on it signs nothing any more, where the issuer says so (`exp`, OpenID Federation)."""

    def fits(self, algorithm: str) -> bool:
        """Whether it may check signatures of this algorithm: kind, curve, and what the key says of its own use."""
        try:
            JWSRegistry.algorithms[algorithm].check_key(self.key)
            self.key.check_key_op("verify")
        except JoseError:
            return False
        return self.key.key_type != "OKP" or self.key.get("crv") == "Ed25519"

    def signed(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature of `message` is this key's."""
        return JWSRegistry.algorithms[algorithm].verify(message, signature, self.key)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys an issuer signs with."""

    keys: tuple[SigningKey, ...]

    def pick(self, kid: str | None, algorithm: str, now_s: float) -> SigningKey | None:
        """The one key that a token's header means, None if there is none or it is not clear which.

        A name is only ever compared. Without one there must be one key to choose from (OpenID Connect Core, 10.1).
        """
        found = [
            key
            for key in self.keys
            if (kid is None or key.kid == kid)
            and (key.expires_s is None or now_s < key.expires_s)
            and key.fits(algorithm)
        ]
        return found[0] if len(found) == 1 else None


def read_key_set(raw: bytes) -> KeySet:
    """The usable keys of a key set. Those that are not understood, weak or revoked are left out, as RFC 7517 has it.

    Raises:
        ValueError: it is no key set, holds a private key, or no key that is of use.
    """
    if len(raw) > MAX_KEY_SET_BYTES:
        raise ValueError(f"is larger than {MAX_KEY_SET_BYTES} bytes")
    try:
        listed: object = json_object(raw).get("keys")
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error
    if not isinstance(listed, list) or len(cast("list[object]", listed)) > _MAX_KEYS:
        raise ValueError(f"has no list 'keys', or more than {_MAX_KEYS} of them")
    keys = tuple(key for entry in cast("list[object]", listed) if (key := _key(entry)) is not None)
    if not keys:
        raise ValueError("holds no key that can check a signature")
    return KeySet(keys)


def _key(entry: object) -> SigningKey | None:
    if not isinstance(entry, dict):
        return None
    entry = cast("dict[str, Any]", entry)
    if not _PRIVATE.isdisjoint(entry):
        raise ValueError("holds a private or secret key: keep only the public half there, and replace the key")
    kid, expires_s = entry.get("kid"), entry.get("exp")
    well_formed = isinstance(kid, str | None) and isinstance(expires_s, int | float | None)
    if not well_formed or "revoked" in entry or not _is_strong(entry):
        return None
    try:
        return SigningKey(kid, JWKRegistry.import_key(cast("Mapping[str, str]", entry)), expires_s)  # pyright: ignore[reportArgumentType]
    except (JoseError, ValueError, LookupError, TypeError):
        return None


def _is_strong(entry: Json) -> bool:
    kind = entry.get("kty")
    if kind != "RSA":
        return kind in _KINDS
    try:
        return len(from_base64url(str(entry.get("n"))).lstrip(b"\0")) in _RSA_BYTES
    except ValueError:
        return False
