"""Sealing content and wrapping keys, without a database."""

import hashlib
import hmac
import stat
from base64 import b64encode
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import KeyUnavailable
from holdfast.store.vault import SubjectKey, WrappingKey
from holdfast.store.vault.subject import ContentDamaged

TENANT, SECRET = UUID(int=1), bytes(range(32))
KEY = SubjectKey(TENANT, "ann", SECRET)


@given(st.binary(max_size=2000))
def test_what_is_sealed_opens_again_and_only_once_stored(plain):
    sealed = KEY.seal(plain)
    assert KEY.open(sealed.digest, sealed.body) == plain
    assert KEY.seal(plain) == sealed
    assert (sealed.ref, sealed.ref) == (sealed.digest.hex(), KEY.ref(plain))


@given(st.binary(max_size=300))
def test_the_name_of_content_is_the_hmac_under_the_derived_key(plain):
    derived = HKDF(SHA256(), 32, None, b"holdfast.content.digest.1").derive(SECRET)
    assert KEY.digest(plain) == hmac.new(derived, plain, hashlib.sha256).digest()


def test_a_body_says_nothing_of_its_content_but_the_length():
    sealed = KEY.seal(b"secret " * 50)
    assert b"secret" not in sealed.body
    assert len(sealed.body) == 350 + 1 + 16


@pytest.mark.parametrize("place", [0, 1, 40, -1])
def test_a_changed_body_does_not_open(place):
    sealed = KEY.seal(b"x" * 60)
    changed = bytearray(sealed.body)
    changed[place] ^= 1
    with pytest.raises(ContentDamaged, match="backup"):
        KEY.open(sealed.digest, bytes(changed))


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x01short"])
def test_a_cut_body_does_not_open(body):
    with pytest.raises(ContentDamaged):
        KEY.open(bytes(32), body)


def test_a_body_does_not_open_under_another_name_subject_or_tenant():
    one, two = KEY.seal(b"one"), KEY.seal(b"two")
    with pytest.raises(ContentDamaged):
        KEY.open(one.digest, two.body)
    for other in (SubjectKey(TENANT, "bob", bytes(32)), SubjectKey(UUID(int=2), "ann", SECRET)):
        with pytest.raises(ContentDamaged):
            other.open(one.digest, one.body)


def test_a_subject_key_unwraps_only_for_its_tenant_and_subject_under_its_wrapping_key():
    wrapping = WrappingKey.generate()
    wrapped = wrapping.wrap(TENANT, "ann", SECRET)
    assert wrapping.unwrap(TENANT, "ann", wrapped, wrapping.id) == SECRET
    assert SECRET not in wrapped
    for tenant, subject, stored in [
        (UUID(int=2), "ann", wrapped),
        (TENANT, "bob", wrapped),
        (TENANT, "ann", wrapped[:-1]),
        (TENANT, "ann", b""),
    ]:
        with pytest.raises(KeyUnavailable, match="subject_keys"):
            wrapping.unwrap(tenant, subject, stored, wrapping.id)
    with pytest.raises(KeyUnavailable, match=wrapping.id):
        WrappingKey.generate().unwrap(TENANT, "ann", wrapped, wrapping.id)


def test_a_wrapping_key_is_read_from_base64_and_hex(tmp_path):
    expected = WrappingKey(SECRET).id
    for text in (b64encode(SECRET).decode(), SECRET.hex() + "\n", b64encode(SECRET).decode().rstrip("=")):
        (tmp_path / "key").write_text(text)
        assert WrappingKey.from_file(tmp_path / "key").id == expected
        assert WrappingKey.from_text(text, source="HOLDFAST_KEY").id == expected


def test_a_missing_or_malformed_wrapping_key_says_where_and_what_to_do(tmp_path):
    with pytest.raises(KeyUnavailable, match=r"nowhere.*openssl"):
        WrappingKey.from_file(tmp_path / "nowhere")
    for text in ("short", "é" * 44, "!" * 43, "zz" * 32, b64encode(bytes(31)).decode()):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(KeyUnavailable, match="32 bytes") as caught:
            WrappingKey.from_file(tmp_path / "bad")
        assert text not in str(caught.value)


def test_a_saved_key_is_the_owners_alone_and_never_overwritten(tmp_path):
    key, path = WrappingKey.generate(), tmp_path / "key"
    key.save(path)
    assert WrappingKey.from_file(path).id == key.id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        WrappingKey.generate().save(path)
    assert WrappingKey.from_file(path).id == key.id
