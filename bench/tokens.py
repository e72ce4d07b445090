"""An identity provider as far as its signatures go."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from holdfast.identity.issuers import IssuerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.domain.rights import Role

_ISSUER = "https://bench.example"
_GOOD_FOR_S = 3600


def signer(folder: Path) -> tuple[Callable[[str, Role], str], IssuerSettings]:
    """What signs tokens for a subject with a role, and the issuer that is believed for it."""
    key = ECKey.generate_key("P-256", {"kid": "bench"})
    keys = folder / "keys.json"
    keys.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    issuer = IssuerSettings.model_validate(
        {
            "issuer": _ISSUER,
            "audience": "holdfast",
            "jwks_file": keys,
            "tenant": "default",
            "roles_claim": "role",
            "roles": {"user": "user"},
        }
    )

    def sign(subject: str, role: Role) -> str:
        now = int(time.time())
        times = {"iat": now, "exp": now + _GOOD_FOR_S}
        claims = {"iss": _ISSUER, "aud": "holdfast", "sub": subject, "role": role.value, **times}
        return jwt.encode({"alg": "ES256", "kid": "bench"}, claims, key)

    return sign, issuer
