"""Every refusal, with its reason."""

import pytest

from support.oidc_scene import NOW_S, claims, refusal
from support.signing import Signer, b64

GOOD = Signer()


def said(**more):
    return GOOD.token(claims(**more))


def headed(**more):
    return GOOD.token(claims(), more)


def nested(depth):
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


CASES = {
    "not a token": ("", "malformed"),
    "two parts": ("a.b", "malformed"),
    "four parts": (said() + ".x", "malformed"),
    "an API key": ("hf_1234567890", "malformed"),
    "encrypted": (".".join(["e30"] * 5), "malformed"),
    "not ASCII": ("é" + said(), "malformed"),
    "a space": (said().replace(".", ". ", 1), "malformed"),
    "padding": (said() + "==", "malformed"),
    "the other base64": (said()[:-1] + "+", "malformed"),
    "header no JSON": (GOOD.token(claims(), b"{"), "malformed"),
    "header a list": (GOOD.token(claims(), b"[]"), "malformed"),
    "header not UTF-8": (GOOD.token(claims(), b'{"alg":"\xff"}'), "malformed"),
    "header UTF-16": (GOOD.token(claims(), '{"alg":"ES256"}'.encode("utf-16")), "malformed"),
    "a header twice": (GOOD.token(claims(), b'{"alg":"ES256","kid":"first","alg":"none"}'), "malformed"),
    "claims no JSON": (GOOD.token(b"nothing"), "malformed"),
    "claims a text": (GOOD.token(b'"ann"'), "malformed"),
    "a claim twice": (GOOD.token(b'{"sub":"ann","sub":"ben"}'), "malformed"),
    "a claim twice, deep": (GOOD.token(b'{"a":[{"org":1,"org":2}]}'), "malformed"),
    "not a number": (GOOD.token(b'{"exp":NaN}'), "malformed"),
    "deep": (GOOD.token(nested(5000)), "malformed"),
    "huge": (said(pad="x" * 20_000), "too-large"),
    "no issuer": (said(iss=...), "unknown-issuer"),
    "another issuer": (said(iss="https://login.acme.example/"), "unknown-issuer"),
    "issuer a list": (said(iss=["https://login.acme.example"]), "unknown-issuer"),
    "type of a logout": (headed(typ="logout+jwt"), "wrong-type"),
    "type no text": (headed(typ=None), "wrong-type"),
    "algorithm missing": (headed(alg=...), "wrong-algorithm"),
    "algorithm none": (headed(alg="none"), "wrong-algorithm"),
    "algorithm None": (headed(alg="None"), "wrong-algorithm"),
    "algorithm no text": (headed(alg=["ES256"]), "wrong-algorithm"),
    "algorithm of secrets": (headed(alg="HS256"), "wrong-algorithm"),
    "algorithm in small letters": (headed(alg="es256"), "wrong-algorithm"),
    "critical": (headed(crit=["exp"], exp=1), "critical-header"),
    "critical, empty": (headed(crit=[]), "critical-header"),
    "unencoded payload": (headed(b64=False, crit=["b64"]), "critical-header"),
    "key name no text": (headed(kid=7), "malformed"),
    "key unknown": (headed(kid="another"), "unknown-key"),
    "key name a path": (headed(kid="../../../../dev/null"), "unknown-key"),
    "key name a NUL": (headed(kid="first\0"), "unknown-key"),
    "key of another algorithm": (headed(alg="RS256"), "unknown-key"),
    "key of another curve": (headed(alg="ES384"), "unknown-key"),
    "never expires": (said(exp=...), "malformed"),
    "no time of issue": (said(iat=...), "malformed"),
    "expired": (said(exp=NOW_S - 31), "expired"),
    "expiry a text": (said(exp=str(NOW_S + 60)), "malformed"),
    "expiry a boolean": (said(exp=True), "malformed"),
    "expiry without end": (GOOD.token(b'{"iss":"https://login.acme.example","iat":1,"exp":1e999}'), "malformed"),
    "expiry beyond calendars": (said(exp=10**15), "malformed"),
    "expiry beyond numbers": (said(exp=10**400), "malformed"),
    "expiry before time": (said(exp=-1), "malformed"),
    "issued tomorrow": (said(iat=NOW_S + 86_400, exp=NOW_S + 90_000), "not-yet-valid"),
    "not yet": (said(nbf=NOW_S + 31), "not-yet-valid"),
    "not before a text": (said(nbf="soon"), "malformed"),
    "logged in tomorrow": (said(auth_time=NOW_S + 86_400), "not-yet-valid"),
    "no audience": (said(aud=...), "wrong-audience"),
    "another audience": (said(aud="other"), "wrong-audience"),
    "the beginning of an audience": (said(aud="hold"), "wrong-audience"),
    "audience an object": (said(aud={"holdfast": 1}), "wrong-audience"),
    "audience in lists": (said(aud=[["holdfast"]]), "wrong-audience"),
    "bound to its sender": (said(cnf={"jkt": "x"}), "sender-constrained"),
    "no subject": (said(sub=...), "no-subject"),
    "subject empty": (said(sub=""), "no-subject"),
    "subject a number": (said(sub=7), "no-subject"),
    "subject a list": (said(sub=["ann"]), "no-subject"),
    "subject with a NUL": (said(sub="ann\0"), "no-subject"),
    "subject with a space": (said(sub="ann "), "no-subject"),
    "subject half a letter": (said(sub="ann\ud800"), "no-subject"),
    "subject too long": (said(sub="a" * 256), "no-subject"),
}


@pytest.mark.parametrize(("token", "reason"), CASES.values(), ids=CASES)
async def test_it_is_refused(trusting, token, reason):
    assert await refusal(trusting(GOOD, Signer("RS256", "other")), token) == reason


async def test_an_algorithm_is_pinned_though_the_key_would_do(trusting):
    signer = Signer("RS512")
    assert await refusal(trusting(signer, algorithms=["RS256"]), signer.token(claims())) == "wrong-algorithm"


async def test_a_signature_may_have_no_spare_bits(trusting):
    signer = Signer("RS256")
    token = signer.token(claims())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]  # the same bytes to a lenient reader
    assert await refusal(trusting(signer), twin) == "malformed"


@pytest.mark.parametrize("signature", [b"", bytes(64), b"\xff" * 64, bytes(63), bytes(128)], ids=len)
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
async def test_a_degenerate_signature_is_refused(trusting, algorithm, signature):
    signer = Signer(algorithm)
    token = signer.token(claims())
    assert await refusal(trusting(signer), token.rpartition(".")[0] + "." + b64(signature)) == "bad-signature"
