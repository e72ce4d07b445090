"""Whatever comes is accepted or refused; nothing else ever happens."""

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.domain.errors import Unauthenticated
from holdfast.identity.key_set import read_key_set
from support.oidc_scene import NOW_S, claims
from support.signing import ALGORITHMS, Signer, as_bytes, b64, key_set

GOOD = Signer()
TABLE = {
    "tenant": None,
    "tenant_claim": "a.org",
    "service_claim": "kind",
    "roles_claim": "a.groups",
    "roles": {"staff": "user"},
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["staff", "acme", NOW_S])
ANY = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
HEADERS = ["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "cty"]
CLAIMS = ["iss", "sub", "aud", "iat", "exp", "nbf", "auth_time", "a", "kind", "name", "email", "email_verified", "cnf"]
MEMBERS = ["kty", "crv", "x", "y", "n", "e", "use", "key_ops", "alg", "kid", "exp", "x5c", "x5t", "x5u", "oth"]

patiently = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def some(names):
    return st.dictionaries(st.sampled_from(names), ANY, max_size=3)


@patiently
@given(text=st.text() | st.lists(st.text(), min_size=2, max_size=4).map(".".join))
async def test_any_text(trusting, text):
    with suppress(Unauthenticated):
        await trusting(GOOD).verify(text)
        raise AssertionError(text)


@patiently
@given(parts=st.lists(ANY.map(as_bytes) | st.binary(), min_size=2, max_size=4))
async def test_any_parts(trusting, parts):
    with suppress(Unauthenticated):
        await trusting(GOOD).verify(".".join(map(b64, parts)))
        raise AssertionError(parts)


@patiently
@given(header=some(HEADERS), said=some(CLAIMS), tenant=ANY, groups=ANY)
async def test_anything_that_an_issuer_may_sign(trusting, header, said, tenant, groups):
    token = GOOD.token(claims(a={"org": tenant, "groups": groups}) | said, header)
    with suppress(Unauthenticated):
        found = await trusting(GOOD, **TABLE).verify(token)
        for text in (found.subject, found.tenant, found.name or "x", found.email or "x"):
            assert text.isprintable()
            assert 0 < len(text) <= 255


@patiently
@given(of=st.sampled_from(ALGORITHMS), more=some(MEMBERS), algorithm=st.sampled_from(ALGORITHMS))
def test_any_key_set(of, more, algorithm):
    with suppress(ValueError):
        for key in read_key_set(key_set(Signer(of).jwk(**more))).keys:
            if key.fits(algorithm):
                key.signed(algorithm, b"message", b"signature")
