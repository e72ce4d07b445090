"""Subjects' keys in the database: made once, whoever comes first; gone when destroyed."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import KeyUnavailable
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.store.pool import Database
from holdfast.store.vault import Erased, Vault, WrappingKey


@pytest.fixture(params=["worker", "api"])
async def db(request, database):
    async with Database.open(database.url_of(f"holdfast_{request.param}"), role=request.param) as db:
        yield db


async def test_all_processes_and_tasks_get_the_same_key(database, db):
    wrapping = WrappingKey.generate()
    vaults = [Vault(db, wrapping) for _ in range(4)]
    found = await asyncio.gather(*(vault.subject(DEFAULT_TENANT, "ann") for vault in vaults for _ in range(3)))
    assert len({key.ref(b"x") for key in found}) == 1


async def test_subjects_and_tenants_have_keys_of_their_own(db):
    vault = Vault(db, WrappingKey.generate())
    found = [await vault.subject(tenant, subject) for tenant in (DEFAULT_TENANT, uuid4()) for subject in ("ann", "bob")]
    assert len({key.ref(b"x") for key in found}) == 4


async def test_looking_for_a_key_makes_none(database, db):
    vault = Vault(db, WrappingKey.generate())
    assert await vault.existing(DEFAULT_TENANT, "ann") is None
    with psycopg.connect(database.admin_url) as admin:
        assert admin.execute("select count(*) from holdfast.subject_keys").fetchone() == (0,)
    made = await vault.subject(DEFAULT_TENANT, "ann")
    found = await Vault(db, vault._wrapping_key).existing(DEFAULT_TENANT, "ann")
    assert found is not None
    assert found.ref(b"x") == made.ref(b"x")


async def test_a_destroyed_key_is_erased_for_all_as_soon_as_it_is_not_remembered(database, db):
    now = [0.0]
    vault = Vault(db, WrappingKey.generate(), max_age_s=60, monotonic=lambda: now[0])
    await vault.subject(DEFAULT_TENANT, "ann")
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("update holdfast.subject_keys set wrapped = null, destroyed_at = now()")
    await vault.subject(DEFAULT_TENANT, "ann")
    now[0] = 61
    with pytest.raises(Erased):
        await vault.subject(DEFAULT_TENANT, "ann")
    with pytest.raises(Erased):
        await vault.existing(DEFAULT_TENANT, "ann")


async def test_a_key_that_is_forgotten_is_read_again(database, db):
    vault = Vault(db, WrappingKey.generate())
    await vault.subject(DEFAULT_TENANT, "ann")
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("update holdfast.subject_keys set wrapped = null")
    vault.forget(DEFAULT_TENANT, "ann")
    with pytest.raises(Erased):
        await vault.subject(DEFAULT_TENANT, "ann")


async def test_memory_is_bounded_and_the_least_used_goes_first(db):
    vault = Vault(db, WrappingKey.generate(), max_keys=2)
    for subject in ("ann", "bob", "ann", "cem"):
        await vault.subject(DEFAULT_TENANT, subject)
    assert [subject for _, subject in vault._keys] == ["ann", "cem"]


async def test_another_wrapping_key_is_refused_by_name(db):
    right = WrappingKey.generate()
    await Vault(db, right).subject(DEFAULT_TENANT, "ann")
    with pytest.raises(KeyUnavailable, match=right.id):
        await Vault(db, WrappingKey.generate()).subject(DEFAULT_TENANT, "ann")


async def test_a_process_with_another_wrapping_key_is_told_at_once(db):
    wrapping, other = WrappingKey.generate(), WrappingKey.generate()
    await Vault(db, other).check(DEFAULT_TENANT)
    await Vault(db, wrapping).subject(DEFAULT_TENANT, "ann")
    await Vault(db, wrapping).check(DEFAULT_TENANT)
    with pytest.raises(KeyUnavailable, match=rf"is {other.id}.*sealed under {wrapping.id}"):
        await Vault(db, other).check(DEFAULT_TENANT)
