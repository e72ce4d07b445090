"""Forgeries: tokens made by somebody who does not hold the issuer's key."""

import hashlib
import hmac
import json
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.identity.issuers import Algorithm
from support.key_server import KeyServer
from support.oidc_scene import claims, refusal
from support.signing import Signer, as_bytes, b64, key_set, unb64

GOOD, EVIL = Signer("RS256"), Signer("RS256", "evil")


def forged(header, signature=b""):
    signed = f"{b64(as_bytes(header))}.{b64(as_bytes(claims()))}"
    return f"{signed}.{b64(signature(signed.encode()) if callable(signature) else signature)}"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
async def test_an_unsigned_token_is_refused(trusting, name):
    assert await refusal(trusting(GOOD), forged({"alg": name, "kid": "first"})) == "wrong-algorithm"


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER, "jwk"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_the_public_key_is_no_shared_secret(trusting, encoding, algorithm):
    if encoding == "jwk":
        secret = json.dumps(GOOD.jwk()).encode()
    else:
        secret = GOOD.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    digest = getattr(hashlib, f"sha{algorithm[2:]}")
    token = forged({"alg": algorithm, "kid": "first"}, lambda signed: hmac.digest(secret, signed, digest))
    assert await refusal(trusting(GOOD), token) == "wrong-algorithm"


def test_no_configuration_allows_secrets_or_nothing():
    allowed = get_args(Algorithm)
    assert "RS256" in allowed
    assert not {name for name in allowed if name.upper().startswith(("HS", "NONE"))}


async def test_keys_that_a_token_brings_along_are_not_used(trusting):
    async with KeyServer(key_set(EVIL, EVIL.jwk(kid="first"))) as server:
        for brought in (
            {"jwk": EVIL.jwk()},
            {"jku": server.url},
            {"x5u": server.url},
            {"x5c": ["MIIB"]},
            {"jku": server.url, "kid": server.url},
        ):
            verifier = trusting(GOOD)
            assert await refusal(verifier, EVIL.token(claims(), {"kid": "first"} | brought)) in {
                "bad-signature",
                "unknown-key",
            }
        assert server.requests.value == 0


async def test_another_key_by_the_name_of_the_issuers_is_refused(trusting):
    assert await refusal(trusting(GOOD), EVIL.token(claims(), {"kid": "first"})) == "bad-signature"


async def test_a_signature_in_the_form_of_certificates_is_refused(trusting):
    signer = Signer("ES256")
    token = signer.token(claims())
    signed, _, signature = token.rpartition(".")
    raw = unb64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert await refusal(trusting(signer), f"{signed}.{b64(der)}") == "bad-signature"


async def test_a_signature_does_not_move_to_other_claims(trusting):
    mine, yours = GOOD.token(claims()).split("."), GOOD.token(claims(sub="ben")).split(".")
    assert await refusal(trusting(GOOD), ".".join([mine[0], yours[1], mine[2]])) == "bad-signature"


TOKENS = {name: Signer(name).token(claims()) for name in ("ES256", "RS256", "EdDSA")}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data(), algorithm=st.sampled_from(sorted(TOKENS)))
async def test_no_byte_can_be_changed(trusting, data, algorithm):
    token = TOKENS[algorithm]
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(lambda letter: letter != token[at]))
    verifier = trusting(Signer(algorithm))
    assert await verifier.verify(token)
    assert await refusal(verifier, token[:at] + other + token[at + 1 :])


@pytest.mark.parametrize("algorithm", sorted(TOKENS))
async def test_no_bit_can_be_flipped(trusting, algorithm):
    verifier, raw = trusting(Signer(algorithm)), TOKENS[algorithm].encode()
    for at in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[at] ^= 1 << bit
            assert await refusal(verifier, flipped.decode("latin-1"))
