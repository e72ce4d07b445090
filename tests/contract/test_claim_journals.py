"""A claim brings along what the run recorded, where that is little; and it does not wait for the disk."""

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.store.claims import claim_runs
from holdfast.store.leases import register_worker
from holdfast.store.pool import Database
from holdfast.store.reader import RunReader, opened
from holdfast.store.runs import accept_run
from holdfast.store.vault import SubjectKey
from support.store_scene import Held, Member, outcomes, stand

AT = datetime(2026, 1, 1, 12, 30, 0, 7, tzinfo=UTC)
OTHER = UUID("00000000-0000-7000-8000-0000000000aa")
KEYS = {tenant: SubjectKey(tenant, "somebody", bytes(32)) for tenant in (DEFAULT_TENANT, OTHER)}


@pytest.fixture
async def db(database):
    with psycopg.connect(database.admin_url) as admin:
        stand(admin, OTHER)
    async with Database.open(database.worker_url, role="worker") as opened:
        yield opened


async def accept(db, tenant, *contents):
    sealed = [KEYS[tenant].seal(content) for content in contents]
    run = uuid7()
    await accept_run(
        db, tenant, run, task="t", task_version="1", principal="me", subject="somebody", at=AT, body='{"v":1,"e":{}}',
        hash=bytes(32), blobs={each.digest: each.body for each in sealed},
    )  # fmt: skip
    return run


async def claimed(db):
    worker = uuid7()
    await register_worker(db, worker, "h", 1, {"t": ["1"]}, 60)
    return {claim.run: claim for claim in await claim_runs(db, worker, 9, ["t"], ["1"], [9])}


async def test_runs_of_several_tenants_come_with_what_a_reader_would_find(db):
    runs = {
        await accept(db, DEFAULT_TENANT, b"hello", b"world"): DEFAULT_TENANT,
        await accept(db, OTHER, b"theirs"): OTHER,
        await accept(db, DEFAULT_TENANT): DEFAULT_TENANT,
    }
    claims = await claimed(db)
    assert set(claims) == set(runs)
    for run, tenant in runs.items():
        assert claims[run].journal is not None
        found = opened(claims[run].journal, KEYS[tenant])
        assert len(found.events) == 1
        assert found == await RunReader(db).recorded(tenant, run, KEYS[tenant])
    assert claims[next(iter(runs))].tenant == DEFAULT_TENANT
    async with db.connection() as connection:
        cursor = await connection.execute("select current_setting('holdfast.tenant', true)")
        assert (await cursor.fetchone())[0] in (None, "")


async def test_much_content_is_left_to_be_read(db):
    run = await accept(db, DEFAULT_TENANT, b"x" * 40_000, b"y" * 40_000)
    assert (await claimed(db))[run].journal is None


def test_a_long_journal_is_left_to_be_read_and_a_short_one_is_whole(scene):
    [short, long] = scene.hold(2)
    assert outcomes(scene.worker, Member(short, ["{}"] * 15), Member(long, ["{}"] * 16)) == ["appended"] * 2
    journal = "select seqs from holdfast.short_journal(%s, %s, %s)"
    found = [scene.worker.execute(journal, [held.tenant, held.run, held.seq]).fetchall() for held in (short, long)]
    assert found == [[(list(range(1, 17)),)], []]


def test_only_a_worker_may_ask_for_a_journal_by_tenant(scene):
    [held] = scene.hold()
    assert scene.one("select has_function_privilege('holdfast_api', p.oid, 'execute') from pg_proc p"
                     " where p.proname = 'short_journal'") is False  # fmt: skip
    stranger = scene.worker.execute("select * from holdfast.short_journal(%s, %s, 1)", [OTHER, held.run]).fetchone()
    assert stranger[0] is None, "another tenant's run is nobody's"


def test_a_claim_does_not_wait_for_the_disk_and_what_rests_on_it_does(scene):
    scene.accept()
    worker = scene.register()
    with scene.worker.transaction():
        [row] = scene.claim(worker)
        assert scene.worker.execute("show synchronous_commit").fetchone() == ("off",)
        held = Held(row.tenant, row.id, worker, row.epoch, row.seq, row.head)
        assert outcomes(scene.worker, Member(held)) == ["appended"]
        assert scene.worker.execute("show synchronous_commit").fetchone() == ("on",)
    assert scene.worker.execute("show synchronous_commit").fetchone() == ("on",)


def test_long_bodies_are_left_to_be_read(scene):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, ["x" * 60_000] * 2)) == ["appended"]
    found = scene.worker.execute("select * from holdfast.short_journal(%s, %s, 3)", [held.tenant, held.run]).fetchall()
    assert found == []
