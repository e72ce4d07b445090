"""Verifiers that trust a provider whose keys are in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.identity.claims import Claims
from holdfast.identity.tokens import TokenVerifier
from support.oidc_scene import Clock, claims, issuer
from support.signing import Signer, key_set


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path) -> Callable[..., Path]:
    """Writes the issuer's key file."""

    def write(*of: Signer | dict[str, Any]) -> Path:
        path = tmp_path / "keys.json"
        path.write_bytes(key_set(*of))
        return path

    return write


@pytest.fixture
def trusting(keys: Callable[..., Path], clock: Clock) -> Callable[..., TokenVerifier]:
    """A verifier that trusts an issuer with these keys."""

    def made(*of: Signer | dict[str, Any], **settings: Any) -> TokenVerifier:
        return TokenVerifier([issuer(jwks_file=keys(*of), **settings)], now=clock, clock=clock)

    return made


@pytest.fixture
def learn(trusting: Callable[..., TokenVerifier]) -> Callable[..., Any]:
    """What is made of a good token with these claims, under these settings."""

    async def asked(said: dict[str, Any], **settings: Any) -> Claims:
        signer = Signer()
        return await trusting(signer, **settings).verify(signer.token(claims(**said)))

    return asked
