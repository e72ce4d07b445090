"""Who is let in from an address that others guess from, what a refusal tells there, and what it costs to look."""

import time
from collections import Counter
from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import TooManyAttempts, Unauthenticated
from holdfast.domain.ids import DEFAULT_TENANT, LOCAL_PRINCIPAL
from holdfast.identity.api_keys import ApiKey
from holdfast.identity.throttle import BURST, neighbourhood
from holdfast.identity.tokens import TokenVerifier
from holdfast.service.gate import Gate
from holdfast.store import keys
from support.oidc_scene import issuer
from support.signing import Signer, key_set

THERE = "192.0.2.1"


class Counting:
    """A database that counts what it is asked by name."""

    def __init__(self, db):
        self._db, self.asked = db, Counter()

    async def fetch(self, tenant, name, *more):
        self.asked[name] += 1
        return await self._db.fetch(tenant, name, *more)

    async def value(self, name, *more, **named):
        self.asked[name] += 1
        return await self._db.value(name, *more, **named)

    async def repeat(self, act):
        return await self._db.repeat(act)


class Street:
    """A gate, and those who come to it from one address. Time stands still unless a test moves it."""

    def __init__(self, db, tokens):
        self.db, self.now_s = Counting(db), 1000.0
        self.told_of: list[str] = []
        self.gate = Gate(self.db, tokens, clock=lambda: self.now_s, woken=lambda: self.told_of.append("signed in"))

    async def crowded(self):
        for _ in range(BURST):
            with pytest.raises(Unauthenticated):
                await self.gate.admit("guess", source=THERE)
        self.db.asked.clear()

    async def told(self, credential, source=THERE):
        """All that one who is refused is told."""
        with pytest.raises((TooManyAttempts, Unauthenticated)) as refused:
            await self.gate.admit(credential, source=source)
        return type(refused.value), str(refused.value), getattr(refused.value, "retry_after_s", None)


@pytest.fixture
def signer():
    return Signer()


@pytest.fixture
async def street(services, tmp_path, signer):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(signer))
    async with TokenVerifier(
        [issuer(jwks_file=path, tenant="default", roles_claim="groups", roles={"staff": "user"})]
    ) as tokens:
        yield Street(services.db, tokens)


async def made(db, **more):
    key, id_ = ApiKey.generate(DEFAULT_TENANT), uuid4()
    usual = {"name": "k", "digest": key.digest, "scopes": None, "expires_at": None, "by": "test"}
    assert await keys.create_key(db, DEFAULT_TENANT, id_, principal=LOCAL_PRINCIPAL, **usual | more) == "created"
    return key.text, id_


def token(signer, age_s=0.0, **more):
    now = time.time() - age_s
    said = {"iss": "https://login.acme.example", "sub": "ann", "aud": "holdfast", "iat": now, "exp": now + 600}
    return signer.token(said | {"groups": ["staff"], "name": "Ann"} | more)


async def test_a_valid_credential_is_let_in_from_where_others_guess(street, services, signer):
    key, _ = await made(services.db)
    await street.crowded()
    assert (await street.told("guess"))[0] is TooManyAttempts
    assert (await street.gate.admit(key, source=THERE)).principal == str(LOCAL_PRINCIPAL)
    assert (await street.gate.admit(token(signer), source=THERE)).roles == {"user"}
    assert (await street.told("guess"))[0] is TooManyAttempts, "who is let in does not clear the others"


async def test_who_has_to_wait_is_told_the_same_whatever_was_wrong(street, services, signer):
    """Not whether a key was there once, nor whether a token was genuine, nor by how the next Retry-After moves."""
    ended, id_ = await made(services.db)
    await keys.end_key(services.db, DEFAULT_TENANT, id_, by="test")
    await street.crowded()
    sent = (
        "guess",
        None,
        "",
        ended,
        ApiKey.generate(DEFAULT_TENANT).text,
        ApiKey.generate(uuid4()).text,
        token(signer, age_s=900),
        token(signer, aud="another"),
        token(Signer(kid="second")),
    )
    told = []
    for credential in sent:
        street.now_s += 1.5  # not all is forgiven yet
        told.append([await street.told(credential), await street.told("guess")])
    assert told == [told[0]] * len(sent)
    assert {answer[0] for answers in told for answer in answers} == {TooManyAttempts}
    street.now_s += 60
    assert (await street.told("guess"))[0] is Unauthenticated


async def test_to_look_costs_one_read_at_most(street, services, signer):
    key, _ = await made(services.db)
    await street.gate.admit(key, source=THERE)
    known = token(signer, sub="known")
    await street.gate.admit(known, source=THERE)
    await street.crowded()
    for credential, cost in (
        (None, {}),
        ("guess", {}),
        ("hf_", {}),
        (token(Signer(kid="second")), {}),
        (token(signer, age_s=900), {}),
        (ApiKey.generate(DEFAULT_TENANT).text, {"find_key": 1}),
        (ApiKey.generate(uuid4()).text, {"find_key": 1}),
    ):
        await street.told(credential)
        street.db.asked.clear()  # the first of its kind is noted in the audit log, and no other for a minute
        await street.told(credential)
        assert street.db.asked == cost, credential
    street.db.asked.clear()
    await street.gate.admit(key, source=THERE)
    await street.gate.admit(known, source=THERE)
    assert street.db.asked == {"find_key": 1, "find_identity": 1}


async def test_workers_are_told_of_whoever_signs_in_anew_and_of_no_other_request(street, signer):
    """Runs may wait for it, and are not to wait for the next look besides."""
    first, second = token(signer, age_s=60), token(signer)
    for sent in (first, first, second, first, second):
        await street.gate.admit(sent, source=THERE)
    assert street.told_of == ["signed in"] * 2


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_what_counts_as_one_place(source, place):
    assert neighbourhood(source) == place


async def test_who_has_a_network_guesses_no_more_often_than_who_has_an_address(street, services, database):
    def noted():
        with psycopg.connect(database.admin_url) as connection:
            of_guesses = "select target from holdfast.audit_log where action = 'credential.refused'"
            return [row[0] for row in connection.execute(of_guesses)]

    told = [await street.told("guess", f"2001:db8:1:2::{n:x}") for n in range(2 * BURST)]
    assert [answer[0] for answer in told] == [Unauthenticated] * BURST + [TooManyAttempts] * BURST
    assert noted() == ["2001:db8:1:2::/64"]
    assert (await street.told("guess", "2001:db8:1:3::1"))[0] is Unauthenticated, "nobody else has to wait"
    key, _ = await made(services.db)
    assert await street.gate.admit(key, source="2001:db8:1:2::1"), "nor has who comes with a valid one"


async def test_an_address_counts_as_the_same_however_it_is_written(street):
    await street.crowded()
    assert (await street.told("guess", f"::ffff:{THERE}"))[0] is TooManyAttempts


@pytest.mark.parametrize("state", ["deleting", "importing"])
async def test_nobody_signs_in_to_a_tenant_that_is_not_there_yet_or_any_more(street, signer, database, state):
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.tenants set state = %s where name = 'default'", [state])
    assert (await street.told(token(signer)))[0] is Unauthenticated
    with psycopg.connect(database.admin_url) as connection:
        assert connection.execute("select * from holdfast.identities").fetchall() == []
