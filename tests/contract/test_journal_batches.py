"""How the runs of a process share statements, and how each run gets its own answer out of one."""

import asyncio

from holdfast.domain.errors import RunLost
from support.journals import hold_run, keys, noted, open_journal, signal, take_over, writing


async def appended_at_once(database, count, **settings):
    """What each of `count` runs got for one append, all in one turn of the loop, and how many commits that took."""
    helds = [hold_run(database.admin_url) for _ in range(count)]
    points = []
    async with writing(database.worker_url, probe=points.append, **settings) as writer:
        journals = [open_journal(writer, held) for held in helds]
        seqs = await asyncio.gather(*(journal.append(noted("x")) for journal in journals))
    assert all(keys(database.admin_url, held) == ["x"] for held in helds)
    return seqs, points.count("append.after_commit")


async def test_few_runs_share_one_statement(database):
    assert await appended_at_once(database, 24) == ([2] * 24, 1)


async def test_many_runs_are_shared_out_among_the_lanes(database):
    """With all of them in one statement the process would wait for the database, and the database for the process."""
    assert await appended_at_once(database, 50) == ([2] * 50, 2)


async def test_a_lane_alone_takes_everybody(database):
    assert await appended_at_once(database, 50, connections=1) == ([2] * 50, 1)


async def test_each_member_of_a_batch_hears_what_is_its_own(database):
    """A member that was appended and has nothing new in its inbox has no row in the answer: the others keep theirs."""
    helds = [hold_run(database.admin_url) for _ in range(6)]
    take_over(database.admin_url, helds[1])
    signal(database.api_url, helds[3])
    signal(database.api_url, helds[4], "cancel")
    async with writing(database.worker_url, connections=1) as writer:
        journals = [open_journal(writer, held) for held in helds]
        results = await asyncio.gather(*(journal.append(noted("x")) for journal in journals), return_exceptions=True)
    assert [type(result) for result in results] == [int, RunLost, int, int, int, int]
    assert [journal.inbox_seq for journal in journals] == [0, 0, 0, 1, 1, 0]
    assert [journal.cancelling for journal in journals] == [False, False, False, False, True, False]
