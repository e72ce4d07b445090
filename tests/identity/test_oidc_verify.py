"""Good tokens: of every algorithm, and what is learnt from them."""

from datetime import UTC, datetime

import pytest

from holdfast.domain.errors import UserError
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role
from holdfast.identity.key_set import read_key_set
from holdfast.identity.tokens import TokenVerifier
from support.oidc_scene import ISSUER, NOW_S, claims, issuer, refusal
from support.signing import ALGORITHMS, Signer, b64, key_set, unb64


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_token_of_each_algorithm_is_accepted(trusting, algorithm):
    signer = Signer(algorithm)
    found = await trusting(signer).verify(signer.token(claims()))
    assert (found.issuer, found.subject, found.tenant) == (ISSUER, "ann", "acme")


async def test_all_that_a_token_says_comes_out(trusting):
    signer = Signer()
    said = claims(name="Ann", email="ann@acme.example", auth_time=NOW_S - 60, groups=["staff", "admins"], azp="x")
    found = await trusting(signer, roles_claim="groups", roles={"admins": "admin"}).verify(signer.token(said))
    assert (found.name, found.email, found.kind) == ("Ann", "ann@acme.example", PrincipalKind.PERSON)
    assert found.roles == frozenset({Role.ADMIN})
    assert (found.issued_at, found.expires_at, found.auth_time) == (at(NOW_S), at(NOW_S + 600), at(NOW_S - 60))


async def test_a_token_that_says_the_least_is_accepted(trusting):
    signer = Signer()
    found = await trusting(signer).verify(signer.token(claims(), {"typ": ...}))
    assert (found.name, found.email, found.auth_time, found.roles) == (None, None, None, None)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
async def test_types_of_identity_and_access_tokens_are_accepted(trusting, kind):
    signer = Signer()
    assert await trusting(signer).verify(signer.token(claims(), {"typ": kind}))


async def test_one_of_several_audiences_is_enough(trusting):
    signer = Signer()
    verifier = trusting(signer, audience=["a", "b"])
    assert await verifier.verify(signer.token(claims(aud=["x", "b"])))


async def test_clocks_may_differ_by_the_leeway_and_no_more(trusting, clock):
    signer = Signer()
    verifier = trusting(signer, leeway_s=10)
    token = signer.token(claims(nbf=NOW_S))
    for now_s, accepted in ((NOW_S - 10, True), (NOW_S + 609, True), (NOW_S - 11, False), (NOW_S + 610, False)):
        clock.now_s = now_s
        if accepted:
            assert await verifier.verify(token)
        else:
            assert await refusal(verifier, token) in {"expired", "not-yet-valid"}


async def test_a_token_without_a_key_name_needs_one_key_that_fits(trusting):
    signer, other, rsa = Signer(), Signer(kid="second"), Signer("RS256")
    nameless = signer.token(claims(), {"kid": ...})
    assert await trusting(signer, rsa).verify(nameless)
    assert await refusal(trusting(signer, other), nameless) == "unknown-key"


async def test_each_issuer_has_its_own_keys(trusting, tmp_path, clock):
    ours, theirs = Signer(kid="same"), Signer(kid="other")
    settings = []
    for name, signer in (("https://a.example", ours), ("https://b.example", theirs)):
        file = tmp_path / f"{signer.kid}.json"
        file.write_bytes(key_set(signer.jwk(kid="same")))
        settings.append(issuer(issuer=name, jwks_file=file, tenant=name[8]))
    verifier = TokenVerifier(settings, now=clock, clock=clock)
    found = await verifier.verify(theirs.token(claims(iss="https://b.example"), {"kid": "same"}))
    assert found.tenant == "b"
    crossed = theirs.token(claims(iss="https://a.example"), {"kid": "same"})
    assert await refusal(verifier, crossed) == "bad-signature"


def test_two_issuers_of_one_name_are_refused(tmp_path):
    one = issuer(jwks_file=tmp_path / "keys")
    with pytest.raises(UserError, match=r"Two issuers are named 'https://login\.acme\.example'"):
        TokenVerifier([one, one])


RFC_7515_A3 = (
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    (
        "eyJhbGciOiJFUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    ),
    "ES256",
)
RFC_8037_A4 = (
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    ),
    "EdDSA",
)


@pytest.mark.parametrize(("jwk", "token", "algorithm"), [RFC_7515_A3, RFC_8037_A4])
def test_the_examples_of_the_standards(jwk, token, algorithm):
    (key,) = read_key_set(key_set(jwk)).keys
    signed, _, signature = token.rpartition(".")
    assert b64(unb64(signature)) == signature
    assert key.fits(algorithm)
    assert key.signed(algorithm, signed.encode(), unb64(signature))
    assert not key.signed(algorithm, signed.encode() + b"x", unb64(signature))
