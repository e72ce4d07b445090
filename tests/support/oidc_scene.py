"""An issuer, what it says of Ann, and a clock that a test moves."""

from typing import Any

import pytest

from holdfast.domain.errors import Unauthenticated
from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.tokens import TokenVerifier
from support.signing import ALGORITHMS

ISSUER = "https://login.acme.example"
NOW_S = 1_800_000_000.0


class Clock:
    """Time of day and age of keys, both."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def claims(**more: Any) -> dict[str, Any]:
    """What a good token says; `...` leaves a claim out."""
    usual = {"iss": ISSUER, "sub": "ann", "aud": "holdfast", "iat": NOW_S, "exp": NOW_S + 600}
    return {name: value for name, value in (usual | more).items() if value is not ...}


def issuer(**more: Any) -> IssuerSettings:
    usual = {"issuer": ISSUER, "audience": "holdfast", "tenant": "acme", "algorithms": ALGORITHMS}
    return IssuerSettings.model_validate(usual | more)


async def refusal(verifier: TokenVerifier, token: str) -> str:
    """Why it is refused; and nobody is told a word of the token."""
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    told = f"{caught.value} {caught.value.reason} {caught.value!r} {caught.value.__cause__!r}"
    assert not any(part in told for part in token.split(".") if len(part) > 8)
    return caught.value.reason
