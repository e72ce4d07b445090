"""Whatever several runs hold, append and flush in whatever order: every event once, in order, chains that verify."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.journals import hold_run, keys, noted, open_journal, writing

RUNS = 3
calls = st.tuples(
    st.integers(0, RUNS - 1), st.sampled_from(["hold", "append", "start", "flush", "turn", "seal"]), st.integers(1, 3)
)


@given(plan=st.lists(calls, max_size=30), batch=st.integers(1, 3), queue_bytes=st.sampled_from([300, 1 << 20]))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_interleaving_commits_each_event_once_and_in_order(database, plan, batch, queue_bytes):
    asyncio.run(carry_out(database, plan, batch, queue_bytes))


async def carry_out(database, plan, batch, queue_bytes):
    helds = [hold_run(database.admin_url) for _ in range(RUNS)]
    expected = [list[str]() for _ in range(RUNS)]
    started = []
    async with writing(
        database.worker_url, hold_s=0.002, max_batch=batch, max_bytes=200, queue_bytes=queue_bytes
    ) as writer:
        journals = [open_journal(writer, held) for held in helds]
        for run, call, count in plan:
            journal = journals[run]
            names = [f"{len(expected[run]) + n}" for n in range(count)]
            if call == "turn":
                await asyncio.sleep(0.001 * count)
            elif call == "flush":
                await journal.flush()
            elif call == "seal":
                journal.seal(names[0].encode())
            else:
                expected[run] += names
                if call == "hold":
                    journal.hold(*map(noted, names))
                elif call == "append":
                    await journal.append(*map(noted, names))
                else:
                    started.append(asyncio.create_task(journal.append(*map(noted, names))))
                    await asyncio.sleep(0)
                    while writer._room:  # only once it has room and is queued is a later call ordered behind it
                        await asyncio.sleep(0)
                    await asyncio.sleep(0)
        await asyncio.gather(*started)
        for journal in journals:
            await journal.flush()
        assert writer._queued_bytes == 0
    assert [keys(database.admin_url, held) for held in helds] == expected
