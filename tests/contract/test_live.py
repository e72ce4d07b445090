"""Live text: sealed, coalesced, published again when it vanishes, and never in a run's way."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest
import structlog

from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.store.hints import Hints
from holdfast.store.live import LivePublisher, open_delta, read_live, seal_delta
from holdfast.store.pool import Database
from holdfast.store.vault import Vault
from support.holder import KEY

DEADLINE_S = 60
RUN = uuid4()


@pytest.fixture
async def worker_db(database):
    async with Database.open(database.worker_url, role="worker") as db:
        yield db


@pytest.fixture
async def api_db(database):
    async with Database.open(database.api_url, role="api") as db:
        yield db


@pytest.fixture
async def hints(worker_db):
    async with Hints(worker_db) as found:
        await found.listening.wait()
        yield found


@pytest.fixture
async def key(worker_db):
    return await Vault(worker_db, KEY).subject(DEFAULT_TENANT, "somebody")


@asynccontextmanager
async def publishing(db, hints, **settings):
    publisher = LivePublisher(db, hints, **settings)
    try:
        yield publisher
    finally:
        await publisher.aclose()


@pytest.fixture
async def publisher(worker_db, hints):
    async with publishing(worker_db, hints, coalesce_s=0.01, check_s=0.05) as found:
        yield found


async def texts(db, key, seqs, seen=()) -> dict[tuple[int, int, int], str]:
    """The live text by (seq, attempt, part); each row has to begin where the one before ended."""
    found: dict[tuple[int, int, int], str] = {}
    for delta in await read_live(db, DEFAULT_TENANT, RUN, key, seqs, seen):
        place = (delta.seq, delta.attempt, delta.part)
        before = found.setdefault(place, "")
        assert delta.start == len(before) or seen
        found[place] = before + delta.text
    return found


async def settle(read, expected) -> None:
    """Read until it is as expected."""
    async with asyncio.timeout(DEADLINE_S):
        while (found := await read()) != expected:
            pass
    assert found == expected


def rows(database, what="count(*)"):
    with psycopg.connect(database.admin_url) as connection:
        return connection.execute(f"select {what} from holdfast.live").fetchone()[0]


async def test_text_is_read_by_the_other_login_and_gone_when_it_is_over(publisher, api_db, key, database):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    live.delta(0, "thinking", "hm")
    live.delta(1, "text", "Ärger 🎈")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "hm", (3, 1, 1): "Ärger 🎈"})
    live.delta(1, "text", " and more")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "hm", (3, 1, 1): "Ärger 🎈 and more"})
    assert await texts(api_db, key, [4]) == {}
    live.end()
    live.end()
    await settle(lambda: texts(api_db, key, [3]), {})
    assert rows(database) == 0


async def test_what_a_reader_has_is_left_out(publisher, api_db, key):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    live.delta(0, "text", "one ")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "one "})
    live.delta(0, "text", "two")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "one two"})
    [delta] = await read_live(api_db, DEFAULT_TENANT, RUN, key, [3], [(3, 1, 0, 4)])
    assert (delta.start, delta.text) == (4, "two")
    [delta] = await read_live(api_db, DEFAULT_TENANT, RUN, key, [3], [(3, 1, 0, 5)])
    assert (delta.start, delta.text) == (4, "two"), "a row half seen is given whole, with its beginning"
    assert await read_live(api_db, DEFAULT_TENANT, RUN, key, [3], [(3, 1, 0, 7)]) == []


async def test_what_comes_together_is_written_together(worker_db, hints, api_db, key, database):
    async with publishing(worker_db, hints, coalesce_s=0.2) as publisher:
        live = publisher.open(DEFAULT_TENANT, RUN, key)
        live.begin(3, 1)
        for number in range(500):
            live.delta(0, "text", f"{number} ")
            await asyncio.sleep(0)
        whole = "".join(f"{number} " for number in range(500))
        await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): whole})
        assert rows(database) <= 5


async def test_a_new_attempt_takes_the_place_of_the_one_before(publisher, api_db, key):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    live.delta(0, "text", "wrong")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "wrong"})
    live.begin(3, 2)
    live.delta(0, "text", "right")
    await settle(lambda: texts(api_db, key, [3]), {(3, 2, 0): "right"})


async def test_several_responses_of_a_run_live_side_by_side(publisher, api_db, key):
    left, right = (publisher.open(DEFAULT_TENANT, RUN, key) for _ in range(2))
    left.begin(3, 1)
    left.delta(0, "text", "left")
    right.begin(4, 1)
    right.delta(0, "text", "right")
    await settle(lambda: texts(api_db, key, [3, 4]), {(3, 1, 0): "left", (4, 1, 0): "right"})
    right.end()
    await settle(lambda: texts(api_db, key, [3, 4]), {(3, 1, 0): "left"})


async def test_rows_of_a_worker_that_died_go_when_the_next_begins(worker_db, hints, publisher, api_db, key):
    async with publishing(worker_db, hints) as dead:
        live = dead.open(DEFAULT_TENANT, RUN, key)
        live.begin(3, 1)
        live.delta(0, "text", "half a sen")
        await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "half a sen"})
    taken = publisher.open(DEFAULT_TENANT, RUN, key)
    taken.begin(6, 2)
    taken.delta(0, "text", "again")
    await settle(lambda: texts(api_db, key, [3, 6]), {(6, 2, 0): "again"})


async def test_what_was_left_behind_is_removed_after_a_day(worker_db, hints, publisher, api_db, key, database):
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(
            "insert into holdfast.live (tenant, run, seq, attempt, part, start, kind, body, length, at) "
            "select %s, gen_random_uuid(), 1, 1, 0, 0, 'text', 'x', 1, now() - age "
            "from unnest(array[interval '25 hours', interval '23 hours']) as age",
            [DEFAULT_TENANT],
        )
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    live.delta(0, "text", "x")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "x"})
    assert rows(database, "min(at) > now() - interval '24 hours' and count(*) = 2")


async def test_closing_removes_the_text_of_what_is_over(worker_db, hints, api_db, key, database):
    async with publishing(worker_db, hints) as publisher:
        live = publisher.open(DEFAULT_TENANT, RUN, key)
        live.begin(3, 1)
        live.delta(0, "text", "x")
        await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "x"})
        live.end()
    assert rows(database) == 0


async def test_rows_that_vanish_are_published_again_without_anything_new_to_say(publisher, api_db, key, database):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    live.delta(0, "text", "one ")
    live.delta(1, "tool_call", "{}")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "one ", (3, 1, 1): "{}"})
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("truncate holdfast.live")  # as a crash of the server leaves an unlogged table
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "one ", (3, 1, 1): "{}"})
    live.delta(0, "text", "two")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "one two", (3, 1, 1): "{}"})


async def test_connections_that_break_cost_nothing_but_time(publisher, api_db, key, database):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    whole = ""
    for number in range(6):
        whole += f"{number} "
        live.delta(0, "text", f"{number} ")
        await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): whole})
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'holdfast_worker' and datname = current_database()"
            )


async def test_a_log_that_cannot_be_written_stops_no_publisher(publisher, api_db, key, database):
    def broken(*_):
        raise ValueError("I/O operation on closed file")

    before = structlog.get_config()
    structlog.configure(processors=[broken])
    try:
        live = publisher.open(DEFAULT_TENANT, RUN, key)
        live.begin(3, 1)
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute("alter table holdfast.live rename to elsewhere")
            live.delta(0, "text", "said")
            async with asyncio.timeout(DEADLINE_S):
                while not publisher._failing:
                    await asyncio.sleep(0.01)
            admin.execute("alter table holdfast.elsewhere rename to live")
        await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "said"})
    finally:
        structlog.configure(**before)


async def test_a_table_that_cannot_be_written_holds_nobody_up(publisher, api_db, key, database):
    live, over = publisher.open(DEFAULT_TENANT, RUN, key), publisher.open(DEFAULT_TENANT, RUN, key)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("lock table holdfast.live in access exclusive mode")
        live.begin(3, 1)
        over.begin(4, 1)
        for _ in range(100):
            live.delta(0, "text", "word ")
            over.delta(0, "text", "word ")
            await asyncio.sleep(0)
        over.end()
    await settle(lambda: texts(api_db, key, [3, 4]), {(3, 1, 0): "word " * 100})


async def test_hints_say_that_there_is_text(publisher, hints, key):
    with hints.subscribe(f"l:{RUN}") as subscription:
        live = publisher.open(DEFAULT_TENANT, RUN, key)
        live.begin(3, 1)
        live.delta(0, "text", "x")
        async with asyncio.timeout(DEADLINE_S):
            while await subscription.wait(DEADLINE_S) != {f"l:{RUN}"}:
                pass


async def test_rows_are_sealed_to_their_place(publisher, api_db, key, database):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    for part in (0, 1):
        live.delta(part, "text", "the same words")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "the same words", (3, 1, 1): "the same words"})
    with psycopg.connect(database.admin_url) as connection:
        bodies = [body for (body,) in connection.execute("select body from holdfast.live").fetchall()]
        assert len(set(bodies)) == 2, "equal words do not look equal"
        assert all(b"same words" not in body for body in bodies)
        connection.execute("update holdfast.live set part = part + 2")
    assert open_delta(key, (RUN, 3, 1, 1, 0), seal_delta(key, (RUN, 3, 1, 0, 0), "x")) is None
    assert await read_live(api_db, DEFAULT_TENANT, RUN, key, [3]) == [], "text moved elsewhere is not shown"


async def test_another_tenant_sees_none_of_it(publisher, api_db, key):
    live = publisher.open(DEFAULT_TENANT, RUN, key)
    live.begin(3, 1)
    live.delta(0, "text", "mine")
    await settle(lambda: texts(api_db, key, [3]), {(3, 1, 0): "mine"})
    assert await read_live(api_db, uuid4(), RUN, key, [3]) == []
