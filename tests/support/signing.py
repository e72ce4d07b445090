"""Tokens as an identity provider makes them, and as a forger does.

Signed with `cryptography` alone, not with the library that checks: what both got wrong in the same way would pass.
"""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
_CURVES = {"ES256": (ec.SECP256R1, "P-256"), "ES384": (ec.SECP384R1, "P-384"), "ES512": (ec.SECP521R1, "P-521")}
_HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_bytes(value: Any) -> bytes:
    """A part of a token: JSON, unless the test has its bytes ready."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@cache
def _private(family: str, kid: str) -> Any:
    """Keys are made once for each name: RSA takes its time."""
    if family == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if family in _CURVES:
        return ec.generate_private_key(_CURVES[family][0]())
    return ed25519.Ed25519PrivateKey.generate()


class Signer:
    """One key of a provider."""

    def __init__(self, algorithm: str = "ES256", kid: str = "first") -> None:
        self.algorithm, self.kid = algorithm, kid
        family = {"R": "RSA", "P": "RSA"}.get(algorithm[0], algorithm)
        self.private = _private(family, kid)

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public half, as it stands in a key set."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            shape = {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            numbers, size = public.public_numbers(), (public.key_size + 7) // 8
            curve = _CURVES[self.algorithm][1]
            shape = {"kty": "EC", "crv": curve, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}
        else:
            shape = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
        return shape | {"kid": self.kid, "use": "sig"} | more

    def sign(self, message: bytes) -> bytes:
        if self.algorithm.startswith("E") and self.algorithm not in _CURVES:
            return self.private.sign(message)
        digest = _HASHES[self.algorithm[2:]]()
        if self.algorithm in _CURVES:
            size = (self.private.key_size + 7) // 8
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        pkcs, pss = padding.PKCS1v15(), padding.PSS(padding.MGF1(digest), digest.digest_size)
        return self.private.sign(message, pss if self.algorithm.startswith("P") else pkcs, digest)

    def token(self, claims: Any, header: Any = None) -> str:
        """A token of these claims; `header` adds to the usual one, or replaces it with bytes."""
        usual = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"}
        whole = header if isinstance(header, bytes) else usual | (header or {})
        if isinstance(whole, dict):
            whole = {name: value for name, value in whole.items() if value is not ...}
        signed = f"{b64(as_bytes(whole))}.{b64(as_bytes(claims))}"
        return f"{signed}.{b64(self.sign(signed.encode()))}"


def key_set(*keys: Signer | dict[str, Any]) -> bytes:
    return json.dumps({"keys": [key.jwk() if isinstance(key, Signer) else key for key in keys]}).encode()
