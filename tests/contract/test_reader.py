"""Reading runs back: whole, in part, across runs, as either login, in the scope of one tenant."""

import asyncio
from uuid import uuid4

import pytest

from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.store.pool import Database
from holdfast.store.reader import ContentMissing, RunReader
from holdfast.store.vault.subject import ContentDamaged, SubjectKey
from support.journals import KEY, hold_run, noted, open_journal, stored, writing


@pytest.fixture(params=["worker", "api"])
async def db(request, database):
    async with Database.open(database.url_of(f"holdfast_{request.param}"), role=request.param) as db:
        yield db


async def written(database, count, *, content=()):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        refs = [journal.seal(plain) for plain in content]
        await journal.append(*(noted(str(n)) for n in range(count)))
    return held, refs


@pytest.mark.parametrize("page_rows", [4096, 7, 10])
async def test_a_run_is_read_whole_with_its_content_also_in_pages(database, db, page_rows):
    content = [f"content {n}".encode() for n in range(20)]
    held, refs = await written(database, 19, content=content)
    recorded = await RunReader(db, page_rows=page_rows).recorded(held.tenant, held.run, KEY)
    assert recorded.events == stored(database.admin_url, held)
    assert recorded.content == dict(zip(refs, content, strict=True))


async def test_events_after_a_sequence_up_to_a_limit(database, db):
    held, _ = await written(database, 9)
    reader = RunReader(db, page_rows=3)
    every = stored(database.admin_url, held)
    assert await reader.journal(held.tenant, held.run, after=4) == every[4:]
    assert await reader.journal(held.tenant, held.run, after=4, limit=2) == every[4:6]
    assert await reader.journal(held.tenant, held.run, after=2, limit=5) == every[2:7]
    assert await reader.journal(held.tenant, held.run, after=10) == []


async def test_content_is_found_across_runs_by_reference(database, db):
    first, (one,) = await written(database, 1, content=[b"one"])
    second, (two,) = await written(database, 1, content=[b"two"])
    foreign, own = f"{first.run}/{one}", f"{second.run}/{two}"
    reader = RunReader(db)
    found = await reader.content_of(second.tenant, second.run, [foreign, two, own], KEY)
    assert found == {foreign: b"one", two: b"two", own: b"two"}
    assert await reader.blobs(second.tenant, second.run, []) == {}
    with pytest.raises(ContentMissing, match="backup"):
        await reader.content_of(second.tenant, second.run, [one], KEY)


async def test_another_tenant_sees_nothing(database, db):
    held, (ref,) = await written(database, 3, content=[b"one"])
    reader, other = RunReader(db), uuid4()
    assert await reader.journal(other, held.run) == []
    assert await reader.blobs(other, held.run, [ref]) == {}
    assert await reader.recorded(other, held.run, KEY) == ([], {})


async def test_content_does_not_open_under_another_subjects_key(database, db):
    held, _ = await written(database, 1, content=[b"one"])
    with pytest.raises(ContentDamaged):
        await RunReader(db).recorded(held.tenant, held.run, SubjectKey(DEFAULT_TENANT, "other", bytes(32)))


async def test_a_long_journal_is_read_in_slices_with_the_loop_given_its_turn(database, db):
    held, _ = await written(database, 1600, content=[str(n).encode() * 400 for n in range(1600)])
    turns, done = 0, False

    async def count_turns():
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    recorded = await RunReader(db).recorded(held.tenant, held.run, KEY)
    done = True
    await counting
    assert (len(recorded.events), len(recorded.content)) == (1601, 1600)
    assert turns > 2 * 1600 // 128
