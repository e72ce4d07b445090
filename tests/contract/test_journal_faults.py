"""What goes wrong under an append: lost replies, lost connections, poison, locked rows, zombies."""

import asyncio
import math

import psycopg
import pytest

from holdfast.domain.errors import AppendRejected, DatabaseUnavailable, RunLost
from holdfast.domain.events import Messages, ModelRequested, ModelResponded, RunSucceeded, Usage
from holdfast.domain.ids import Ref
from holdfast.domain.state import RunState
from holdfast.store import arrays
from holdfast.store.journal import Finish
from support.journals import (
    blob_digests,
    hold_run,
    keys,
    noted,
    open_journal,
    run_row,
    signal,
    take_over,
    types,
    writing,
)
from support.proxy import Proxy

MARKER = b"find this append"
"""In an event's body, by which the proxy recognises the statement."""


def marked():
    return noted(MARKER.decode())


@pytest.fixture
async def proxy(database):
    async with Proxy(database.worker_url) as proxy:
        yield proxy


async def test_a_reply_lost_after_the_commit_is_resolved_by_reading(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url) as writer:
        journal = open_journal(writer, held)
        journal.hold(noted("held"))
        proxy.cut_reply(MARKER)
        assert await journal.append(marked()) == 3
        assert proxy.cuts.value == 1
        assert await journal.append(noted("after")) == 4
    assert keys(database.admin_url, held) == ["held", MARKER.decode(), "after"]


async def test_a_request_lost_before_the_server_saw_it_is_sent_again(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url) as writer:
        journal = open_journal(writer, held)
        ref = journal.seal(b"content")
        proxy.cut_request(MARKER)
        assert await journal.append(marked()) == 2
        assert proxy.cuts.value == 1
    assert keys(database.admin_url, held) == [MARKER.decode()]
    assert blob_digests(database.admin_url, held) == {ref}


async def test_a_lost_reply_to_the_end_of_a_run_is_resolved_by_reading(database, proxy):
    held = hold_run(database.admin_url)
    ended = RunSucceeded(output=Ref(MARKER.decode()), history=Messages(), usage=Usage())
    async with writing(proxy.url) as writer:
        journal = open_journal(writer, held)
        proxy.cut_reply(MARKER)
        await journal.append(ended, finish=Finish(RunState.SUCCEEDED))
    assert types(database.admin_url, held) == ["run_succeeded"]


async def test_a_lost_reply_followed_by_a_take_over_is_still_known_as_committed(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url) as writer:
        journal = open_journal(writer, held)
        proxy.cut_reply(MARKER)
        proxy.refuse()
        appending = asyncio.create_task(journal.append(marked()))
        await proxy.cuts.wait(1)
        other = take_over(database.admin_url, held)
        async with writing(database.worker_url) as second:
            await open_journal(second, other).append(noted("the other's"))
        proxy.accept()
        assert await appending == 2
        with pytest.raises(RunLost):
            await journal.append(noted("late"))
    assert keys(database.admin_url, held) == [MARKER.decode(), "the other's"]


async def test_a_request_lost_before_a_take_over_is_fenced(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url) as writer:
        journal = open_journal(writer, held)
        proxy.cut_request(MARKER)
        proxy.refuse()
        appending = asyncio.create_task(journal.append(marked()))
        await proxy.cuts.wait(1)
        take_over(database.admin_url, held)
        proxy.accept()
        with pytest.raises(RunLost):
            await appending
        assert isinstance(journal.lost, RunLost)
    assert types(database.admin_url, held) == []


async def test_an_old_statement_that_commits_after_its_connection_went_is_found_and_not_repeated(database, proxy):
    """The first sending has passed the fence and waits for a lock inside the server when its connection goes."""
    held = hold_run(database.admin_url)
    with (
        psycopg.connect(database.admin_url) as blocker,
        psycopg.connect(database.admin_url, autocommit=True) as admin,
    ):
        blocker.execute(
            "insert into holdfast.events (tenant, run, seq, type, at, body, hash)"
            " values (%s, %s, 2, '', now(), '', '')",
            [held.tenant, held.run],
        )
        sent = asyncio.Semaphore(0)
        probe = lambda point: sent.release() if point == "append.before_send" else None  # noqa: E731
        async with writing(proxy.url, connections=1, probe=probe) as writer:
            journal = open_journal(writer, held)
            appending = asyncio.create_task(journal.append(marked()))
            await sent.acquire()
            await waiting_for_a_lock(admin)
            proxy.cut_all()
            await sent.acquire()
            assert not appending.done()
            blocker.rollback()
            assert await appending == 2
            assert await journal.append(noted("after")) == 3
    assert keys(database.admin_url, held) == [MARKER.decode(), "after"]


async def waiting_for_a_lock(admin):
    async with asyncio.timeout(30):
        while not admin.execute(
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchall():
            await asyncio.sleep(0.02)


async def test_the_server_restarting_connections_costs_time_only(database, proxy):
    helds = [hold_run(database.admin_url) for _ in range(4)]
    async with writing(proxy.url) as writer:
        journals = [open_journal(writer, held) for held in helds]

        async def append_all(journal):
            for number in range(30):
                await journal.append(noted(str(number)))

        appending = asyncio.gather(*(append_all(journal) for journal in journals))
        for _ in range(5):
            start = journals[0].seq
            while journals[0].seq < min(start + 3, 31):
                await asyncio.sleep(0.001)
            proxy.cut_all()
        await appending
    for held in helds:
        assert keys(database.admin_url, held) == [str(number) for number in range(30)]


async def test_after_the_deadline_waiters_are_told_and_the_fence_knows_the_rest(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url, deadline_s=0.3) as writer:
        journal = open_journal(writer, held)
        proxy.cut_reply(MARKER)
        proxy.refuse()
        with pytest.raises(DatabaseUnavailable, match="HOLDFAST_DATABASE_URL"):
            await journal.append(marked())
        proxy.accept()
        with pytest.raises(RunLost):
            await journal.append(noted("built on the old head"))
    assert keys(database.admin_url, held) == [MARKER.decode()]


async def test_a_server_that_never_answers_is_a_lost_connection(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url, deadline_s=1.0) as writer:
        journal = open_journal(writer, held)
        await journal.append(noted("before"))
        proxy.hold()
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(journal.append(noted("swallowed")), 60)
        proxy.resume()


def responded(**changes):
    return ModelResponded(
        **{
            "scope": "", "step": 1, "attempt": 1, "response": Ref("00"), "history": Messages(), "model": "m",
            "usage": Usage(), "latency_ms": 1, **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "event",
    [
        responded(latency_ms=math.nan),
        responded(latency_ms=math.inf),
        responded(latency_ms=1.5),
        responded(usage=Usage(input_tokens=math.nan)),
        responded(usage=Usage(details={"audio": math.nan})),
        responded(step=2**80),
        responded(model=object()),
    ],
    ids=["nan", "infinity", "fraction", "nan in usage", "nan in details", "80 bits", "no JSON"],
)
async def test_a_body_that_would_not_load_again_is_refused_before_it_is_queued(database, event):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        with pytest.raises(AppendRejected):
            await journal.append(event)
        await journal.append(noted("after"))
    assert keys(database.admin_url, held) == ["after"]


async def test_nul_and_lone_surrogates_are_stored_escaped(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        await open_journal(writer, held).append(noted("a\0b\udc80c"))
    assert keys(database.admin_url, held) == ["a\0b\\udc80c"]


async def test_one_poisoned_member_fails_alone_and_the_others_commit(database):
    helds = [hold_run(database.admin_url) for _ in range(16)]
    poisoned = helds[5]
    with psycopg.connect(database.admin_url) as admin:  # a key conflict: the row that it will insert is there
        admin.execute(
            "insert into holdfast.events (tenant, run, seq, type, at, body, hash)"
            " values (%s, %s, 2, 'noted', now(), '{}', '')",
            [poisoned.tenant, poisoned.run],
        )
    async with writing(database.worker_url, connections=1) as writer:
        journals = [open_journal(writer, held) for held in helds]
        results = await asyncio.gather(*(each.append(noted("x")) for each in journals), return_exceptions=True)
        assert [type(result) for result in results] == [AppendRejected if held is poisoned else int for held in helds]
        assert "duplicate key" in str(results[5])
    for held in helds:
        if held is not poisoned:
            assert keys(database.admin_url, held) == ["x"]


async def test_what_cannot_be_encoded_for_the_wire_fails_alone(database, monkeypatch):
    helds = [hold_run(database.admin_url) for _ in range(4)]
    async with writing(database.worker_url, connections=1) as writer:
        journals = [open_journal(writer, held) for held in helds]
        journals[2].head = b"short"
        # An array of hashes takes 32 bytes each; the server refuses the whole statement.
        assert len(arrays.hashes([b"short"])) != len(arrays.hashes([bytes(32)]))
        results = await asyncio.gather(*(each.append(noted("x")) for each in journals), return_exceptions=True)
    assert [type(result) for result in results] == [int, int, AppendRejected, int]


async def test_a_held_fact_that_is_rejected_is_raised_at_the_next_flush(database):
    held = hold_run(database.admin_url)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(
            "insert into holdfast.events (tenant, run, seq, type, at, body, hash)"
            " values (%s, %s, 2, 'noted', now(), '{}', '')",
            [held.tenant, held.run],
        )
    async with writing(database.worker_url, hold_s=60) as writer:
        journal = open_journal(writer, held)
        journal.hold(noted("x"))
        with pytest.raises(AppendRejected):
            await journal.flush()


async def test_one_locked_row_is_busy_and_holds_up_nobody_else(database):
    locked, free = hold_run(database.admin_url), hold_run(database.admin_url)
    async with writing(database.worker_url, connections=1) as writer:
        stuck, other = open_journal(writer, locked), open_journal(writer, free)
        with psycopg.connect(database.admin_url) as admin:
            admin.execute("select from holdfast.runs where id = %s for update", [locked.run])
            waiting = asyncio.create_task(stuck.append(noted("stuck")))
            for number in range(100):
                await other.append(noted(str(number)))
            assert not waiting.done()
            admin.rollback()
        assert await waiting == 2
        assert stuck.lost is None
    assert len(keys(database.admin_url, free)) == 100


async def test_of_a_zombie_and_its_successor_exactly_one_appends(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as first, writing(database.worker_url) as second:
        zombie = open_journal(first, held)
        await zombie.append(noted("before"))
        successor = open_journal(second, take_over(database.admin_url, held))
        results = await asyncio.gather(
            *(zombie.append(noted("zombie")) for _ in range(3)),
            *(successor.append(noted("successor")) for _ in range(3)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [RunLost] * 3 + [int] * 3
        assert isinstance(zombie.lost, RunLost)
        for attempt in (zombie.append(noted("later")), zombie.flush()):
            with pytest.raises(RunLost):
                await attempt
        with pytest.raises(RunLost):
            zombie.hold(noted("later"))
    assert keys(database.admin_url, held) == ["before", "successor", "successor", "successor"]


async def test_two_writers_with_one_claim_race_and_one_wins_each_time(database):
    """The fence is one predicate: even the same epoch twice lets each sequence through once."""
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as first, writing(database.worker_url) as second:
        results = await asyncio.gather(
            open_journal(first, held).append(noted("a")),
            open_journal(second, held).append(noted("b")),
            return_exceptions=True,
        )
    assert sorted(type(result).__name__ for result in results) == ["RunLost", "int"]
    assert len(keys(database.admin_url, held)) == 1


async def test_a_full_queue_makes_appends_wait_and_loses_none(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url, queue_bytes=2000, connections=1) as writer:
        journal = open_journal(writer, held)
        waiting = [asyncio.create_task(journal.append(noted("x" * 500 + str(n)))) for n in range(40)]
        await asyncio.sleep(0)
        assert writer._queued_bytes <= 2000
        assert await asyncio.gather(*waiting) == list(range(2, 42))
        assert writer._queued_bytes == 0
    assert [key[500:] for key in keys(database.admin_url, held)] == [str(n) for n in range(40)]


async def test_a_waiter_for_room_that_is_cancelled_holds_none_up(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url, queue_bytes=1000, connections=1) as writer:
        journal = open_journal(writer, held)
        tasks = [asyncio.create_task(journal.append(noted("x" * 600 + str(n)))) for n in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert writer._queued_bytes == 0
    assert [key[600:] for key in keys(database.admin_url, held)] == ["0", "2", "3"]


async def test_closing_commits_what_is_held_and_refuses_what_comes_later(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url, hold_s=60) as writer:
        journal = open_journal(writer, held)
        journal.hold(noted("held"))
        appending = asyncio.create_task(journal.append(noted("queued")))
        await asyncio.sleep(0)
    assert await appending == 3
    with pytest.raises(RunLost):
        await journal.append(noted("late"))
    assert keys(database.admin_url, held) == ["held", "queued"]


async def test_closing_while_the_database_is_away_fails_what_waits(database, proxy):
    held = hold_run(database.admin_url)
    async with writing(proxy.url, deadline_s=0.3) as writer:
        journal = open_journal(writer, held)
        proxy.refuse()
        proxy.cut_all()
        appending = asyncio.create_task(journal.append(noted("x")))
        await asyncio.sleep(0)
    with pytest.raises((DatabaseUnavailable, RunLost)):
        await appending


async def test_a_caller_that_is_cancelled_does_not_stop_its_append(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        appending = asyncio.create_task(journal.append(noted("queued")))
        await asyncio.sleep(0)
        appending.cancel()
        assert await journal.append(noted("after")) == 3
    assert keys(database.admin_url, held) == ["queued", "after"]


async def test_probes_are_told_before_sending_and_after_the_commit(database):
    held = hold_run(database.admin_url)
    seen = []

    def probe(point):
        seen.append((point, run_row(database.admin_url, held)["seq"]))

    async with writing(database.worker_url, probe=probe) as writer:
        await open_journal(writer, held).append(noted("x"))
    assert seen == [("append.before_send", 1), ("append.after_commit", 2)]


async def test_a_signal_is_known_from_the_answer_to_any_append(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        signal(database.api_url, held)
        await journal.append(ModelRequested(scope="", step=1, attempt=1, model="m", messages=Messages()))
        assert (journal.inbox_seq, journal.folded_seq) == (1, 0)
