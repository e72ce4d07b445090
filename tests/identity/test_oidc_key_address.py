"""Keys from an address: rotation, and a provider that is away, slow, or talks nonsense. All over real HTTP."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from holdfast.identity import fetch as fetching
from holdfast.identity.fetch import fetch
from holdfast.identity.key_set import MAX_KEY_SET_BYTES
from holdfast.identity.tokens import TokenVerifier
from support.key_server import KeyServer, certificate
from support.oidc_scene import ISSUER, NOW_S, claims, issuer, refusal
from support.signing import Signer, key_set

OLD, NEW = Signer(kid="old"), Signer(kid="new")
REFRESH_S, COOLDOWN_S, OUTAGE_S = 600, 30, 3600


def token(signer):
    return signer.token(claims(exp=NOW_S + 86_400))


@asynccontextmanager
async def provided(clock, report=lambda _issuer, _fault: None):
    """A provider that signs with OLD, and a verifier that trusts it."""
    ages = {"refresh_s": REFRESH_S, "cooldown_s": COOLDOWN_S, "outage_s": OUTAGE_S}
    async with (
        KeyServer(key_set(OLD)) as server,
        TokenVerifier([issuer(jwks_url=server.url, **ages)], report=report, now=clock, clock=clock) as verifier,
    ):
        yield server, verifier


async def test_keys_are_fetched_once_and_kept(clock):
    async with provided(clock) as (server, verifier):
        for _ in range(3):
            assert await verifier.verify(token(OLD))
        assert server.requests.value == 1


async def test_nothing_is_fetched_for_an_issuer_nobody_configured(clock):
    async with provided(clock) as (server, verifier):
        await refusal(verifier, OLD.token(claims(iss=server.url)))
        assert server.requests.value == 0


async def test_a_new_key_is_good_at_once_and_the_old_one_gone(clock):
    async with provided(clock) as (server, verifier):
        assert await verifier.verify(token(OLD))
        server.reply(key_set(NEW))
        clock.now_s += COOLDOWN_S
        assert await verifier.verify(token(NEW))
        assert await refusal(verifier, token(OLD)) == "unknown-key"


async def test_a_withdrawn_key_is_refused_once_the_keys_are_old(clock):
    async with provided(clock) as (server, verifier):
        assert await verifier.verify(token(OLD))
        server.reply(key_set(NEW))
        clock.now_s += REFRESH_S
        assert await verifier.verify(token(OLD))  # not older than they may be
        clock.now_s += 1
        assert await refusal(verifier, token(OLD)) == "unknown-key"


async def test_keys_are_as_old_as_the_question_for_them(clock):
    async with provided(clock) as (server, verifier):
        server.gate.clear()
        asking = asyncio.create_task(verifier.verify(token(OLD)))
        await server.requests.wait(1)
        clock.now_s += REFRESH_S
        server.gate.set()
        assert await asking
        server.reply(key_set(NEW))
        clock.now_s += 1
        assert await refusal(verifier, token(OLD)) == "unknown-key"


async def test_invented_key_names_do_not_hammer_the_provider(clock):
    async with provided(clock) as (server, verifier):
        assert await verifier.verify(token(OLD))
        for count in range(50):
            assert await refusal(verifier, OLD.token(claims(), {"kid": f"k{count}"})) == "unknown-key"
        assert server.requests.value == 1
        clock.now_s += COOLDOWN_S
        await asyncio.gather(*(refusal(verifier, OLD.token(claims(), {"kid": f"k{n}"})) for n in range(50)))
        assert server.requests.value == 2


async def test_everybody_waits_for_one_fetch(clock):
    async with provided(clock) as (server, verifier):
        server.gate.clear()
        waiting = [asyncio.create_task(verifier.verify(token(OLD))) for _ in range(20)]
        await server.requests.wait(1)
        server.gate.set()
        assert len(await asyncio.gather(*waiting)) == 20
        assert server.requests.value == 1


async def test_a_fetch_goes_on_when_who_asked_goes_away(clock):
    async with provided(clock) as (server, verifier):
        server.gate.clear()
        asking = asyncio.create_task(verifier.verify(token(OLD)))
        await server.requests.wait(1)
        asking.cancel()
        server.gate.set()
        assert await verifier.verify(token(OLD))
        assert server.requests.value == 1


async def test_old_keys_serve_while_the_provider_is_away_and_not_for_ever(clock):
    told = []
    async with provided(clock, lambda *said: told.append(said)) as (server, verifier):
        assert await verifier.verify(token(OLD))
        await server.leave()
        for after_s in (REFRESH_S + 1, REFRESH_S + OUTAGE_S):
            clock.now_s = NOW_S + after_s
            assert await verifier.verify(token(OLD))
        clock.now_s += 1
        assert await refusal(verifier, token(OLD)) == "keys-unavailable"
        assert list(await verifier.faults()) == [ISSUER]
        await server.listen()
        clock.now_s += COOLDOWN_S
        assert await verifier.verify(token(OLD))
        assert await verifier.faults() == {}
    (gone, back) = told
    assert gone[0] == ISSUER
    assert "/keys cannot be reached" in gone[1]
    assert back == (ISSUER, None)


async def test_nobody_waits_for_a_provider_that_is_known_to_be_away(clock):
    async with provided(clock) as (server, verifier):
        assert await verifier.verify(token(OLD))
        server.reply(b"", status=503)
        clock.now_s += REFRESH_S + 1
        assert await verifier.verify(token(OLD))
        server.gate.clear()
        clock.now_s += COOLDOWN_S
        assert await verifier.verify(token(OLD))
        await server.requests.wait(3)  # it is asked meanwhile
        server.reply(key_set(NEW))
        server.gate.set()
        assert await verifier.verify(token(NEW))
        assert server.requests.value == 3


async def test_a_provider_that_was_never_there_is_asked_now_and_then(clock):
    async with provided(clock) as (server, verifier):
        server.reply(b"", status=500)
        for _ in range(10):
            assert await refusal(verifier, token(OLD)) == "keys-unavailable"
        assert server.requests.value == 1
        assert "answered 500, not 200" in (await verifier.faults())[ISSUER]
        server.reply(key_set(OLD))
        clock.now_s += COOLDOWN_S
        assert await verifier.verify(token(OLD))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>", "is no JSON"),
        (b"[]", "is no JSON: not an object"),
        (b'{"keys": {}}', "has no list 'keys'"),
        (b'{"keys": []}', "holds no key"),
        (b'{"keys": [], "keys": []}', "a key stands twice"),
        (b'{"keys":' + b"[" * 50_000, "nested too deeply"),
    ],
)
async def test_nonsense_does_not_take_the_place_of_keys(clock, body, says):
    async with provided(clock) as (server, verifier):
        assert await verifier.verify(token(OLD))
        server.reply(body)
        clock.now_s += REFRESH_S + 1
        assert await verifier.verify(token(OLD))
        assert says in (await verifier.faults())[ISSUER]


async def test_a_redirect_is_not_followed():
    async with KeyServer(b"") as server, KeyServer(key_set(NEW)) as elsewhere:
        server.reply(b"", status=302, headers=f"Location: {elsewhere.url}\r\n")
        with pytest.raises(OSError, match="answered 302"):
            await fetch(server.url)
        assert elsewhere.requests.value == 0


async def test_what_is_too_large_is_not_read():
    async with KeyServer(b"x" * (MAX_KEY_SET_BYTES + 1)) as server:
        with pytest.raises(OSError, match="sent more than 262144 bytes"):
            await fetch(server.url)


async def test_what_is_cut_short_is_no_answer():
    async with KeyServer(b"") as server:
        server.reply(key_set(OLD), length=10_000)
        with pytest.raises(OSError, match="cannot be reached"):
            await fetch(server.url)


async def test_a_provider_may_not_take_for_ever(monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.2)
    async with KeyServer(key_set(OLD)) as server:
        server.reply(key_set(OLD), slowly=True)
        with pytest.raises(OSError, match=r"did not answer within 0\.2 s"):
            await fetch(server.url)
        server.gate.clear()
        with pytest.raises(OSError, match=r"cannot be reached|did not answer"):
            await fetch(server.url)


async def test_a_certificate_counts_if_it_is_trusted_and_of_that_host(tmp_path, monkeypatch):
    trusted, tls = certificate(tmp_path)
    async with KeyServer(key_set(OLD), tls) as server:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(server.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert await fetch(server.url) == key_set(OLD)
    trusted, tls = certificate(tmp_path, "127.0.0.2")
    async with KeyServer(key_set(OLD), tls) as server:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(server.url)
        assert server.requests.value == 0


async def test_an_end_while_keys_are_fetched_is_clean(clock):
    async with provided(clock) as (server, verifier):
        server.gate.clear()
        asking = asyncio.create_task(verifier.verify(token(OLD)))
        await server.requests.wait(1)
        await verifier.aclose()
        with pytest.raises(asyncio.CancelledError):
            await asking
