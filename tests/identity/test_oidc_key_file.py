"""Keys in a file."""

import os

import pytest

from holdfast.identity.tokens import TokenVerifier
from support.oidc_scene import ISSUER, NOW_S, claims, issuer, refusal
from support.signing import Signer, key_set

OLD, NEW = Signer(kid="old"), Signer(kid="new")
OUTAGE_S = 3600


def token(signer):
    return signer.token(claims(exp=NOW_S + 86_400))


@pytest.fixture
def verifier(keys, clock):
    return TokenVerifier([issuer(jwks_file=keys(OLD), outage_s=OUTAGE_S)], now=clock, clock=clock)


async def test_a_file_that_changes_is_read_anew(verifier, keys):
    assert await verifier.verify(token(OLD))
    keys(NEW)
    assert await verifier.verify(token(NEW))
    assert await refusal(verifier, token(OLD)) == "unknown-key"


async def test_a_file_replaced_by_one_of_its_age_and_size_is_read_anew(verifier, keys, tmp_path):
    assert await verifier.verify(token(OLD))
    before = (tmp_path / "keys.json").stat()
    twin = tmp_path / "twin.json"
    twin.write_bytes(key_set(NEW))
    os.utime(twin, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert twin.stat().st_size == before.st_size
    twin.replace(tmp_path / "keys.json")
    assert await verifier.verify(token(NEW))


async def test_the_old_keys_serve_while_the_file_is_half_written_and_not_for_ever(verifier, keys, tmp_path, clock):
    assert await verifier.verify(token(OLD))
    (tmp_path / "keys.json").write_bytes(key_set(NEW)[:40])
    clock.now_s += OUTAGE_S
    assert await verifier.verify(token(OLD))
    assert f"{tmp_path}/keys.json is no JSON" in (await verifier.faults())[ISSUER]
    clock.now_s += 1
    assert await refusal(verifier, token(OLD)) == "keys-unavailable"
    keys(NEW)
    assert await verifier.verify(token(NEW))
    assert await verifier.faults() == {}


async def test_the_old_keys_serve_while_the_file_is_away(verifier, keys, tmp_path, clock):
    assert await verifier.verify(token(OLD))
    (tmp_path / "keys.json").unlink()
    clock.now_s += OUTAGE_S
    assert await verifier.verify(token(OLD))
    assert "cannot be read: No such file or directory" in (await verifier.faults())[ISSUER]
    clock.now_s += 1
    assert await refusal(verifier, token(OLD)) == "keys-unavailable"


async def test_keys_in_a_file_that_stays_do_not_grow_old(verifier, clock):
    for _ in range(5):
        assert await verifier.verify(token(OLD))
        clock.now_s += OUTAGE_S + 1


async def test_a_file_that_was_never_there_is_told(tmp_path, clock):
    verifier = TokenVerifier([issuer(jwks_file=tmp_path / "none.json")], now=clock, clock=clock)
    assert await refusal(verifier, token(OLD)) == "keys-unavailable"
    assert await verifier.faults() == {ISSUER: f"{tmp_path}/none.json cannot be read: No such file or directory"}
