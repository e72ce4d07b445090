"""Which keys of a set are used for what."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast.identity.key_set import read_key_set
from support.oidc_scene import NOW_S
from support.signing import ALGORITHMS, Signer, key_set

GOOD = Signer("ES256", "good")


def picked(*entries, kid="it", algorithm="ES256"):
    """The key found by this name among these and a good one."""
    return read_key_set(key_set(GOOD, *entries)).pick(kid, algorithm, NOW_S)


def key(algorithm="ES256", **more):
    return Signer(algorithm, "it").jwk(**more)


@pytest.mark.parametrize("of", ALGORITHMS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_for_algorithms_of_its_kind_and_curve(of, algorithm):
    families = {"RS256": "RSA", "RS512": "RSA", "PS256": "RSA", "EdDSA": "Ed", "Ed25519": "Ed"}
    same = families.get(of, of) == families.get(algorithm, algorithm)
    assert (picked(key(of), algorithm=algorithm) is not None) == same


def test_a_key_is_for_what_it_says():
    assert picked(key(alg="ES256"))
    assert picked(key(key_ops=["verify"]))
    assert picked(key(key_ops=["sign"])) is None
    assert picked(key(use=None)) is None
    assert picked(key(use="enc")) is None
    assert picked(key(alg="ES384")) is None
    assert picked(key(key_ops=["encrypt"], use="enc")) is None
    assert picked(key("RS256", alg="PS256"), algorithm="RS256") is None


def test_an_expired_or_revoked_key_signs_nothing():
    assert picked(key(exp=NOW_S + 1))
    assert picked(key(exp=NOW_S)) is None
    assert picked(key(exp="soon")) is None
    assert picked(key(revoked={"revoked_at": NOW_S - 5})) is None


def test_two_keys_of_one_name_are_told_apart_by_kind_or_not_at_all():
    assert picked(key(), key("RS256"))
    assert picked(key(), Signer("ES256", "second").jwk(kid="it")) is None


NOT_UNDERSTOOD = {
    "for agreement": key("EdDSA", crv="X25519"),
    "Ed448": key("EdDSA", crv="Ed448"),
    "short": key("EdDSA", x="AAAA"),
    "no curve there is": key(crv="P-999"),
    "a curve of coins": key(crv="secp256k1"),
    "off the curve": key(x="AAAA"),
    "a number for a text": key(y=7),
    "a kind to come": key(kty="AKP"),
    "kind no text": key(kty=7),
    "kind a list": key(kty=[]),
    "modulus too long": key("RS256", n="_" * 1400),
    "modulus no text": key("RS256", n=7),
    "exponent nought": key("RS256", e="AA"),
    "name no text": key(kid=7),
    "a text": "key",
    "nothing": None,
}


@pytest.mark.parametrize("entry", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_a_key_that_is_not_understood_leaves_the_others_good(entry):
    for algorithm in ALGORITHMS:
        assert picked(entry, algorithm=algorithm) is None
    assert picked(entry, kid="good")


def test_a_weak_key_is_not_used():
    signer = Signer("RS256", "weak")
    signer.private = rsa.generate_private_key(65537, 1024)
    assert picked(signer, kid="weak", algorithm="RS256") is None


@pytest.mark.parametrize("more", [{"d": "AA"}, {"kty": "oct", "k": "c2VjcmV0"}], ids=["private", "secret"])
def test_a_set_that_gives_a_secret_away_is_refused(more):
    with pytest.raises(ValueError, match="holds a private or secret key"):
        picked(key(**more))


def test_a_set_of_too_many_keys_is_refused():
    with pytest.raises(ValueError, match="more than 100"):
        picked(*[key()] * 100)
