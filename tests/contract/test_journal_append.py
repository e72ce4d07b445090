"""Appending to one run: what is committed, and what the run's row says afterwards."""

import asyncio
import time
from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import RunCancelling, RunHalted, RunLost, SignalsPending, TooLarge
from holdfast.domain.events import (
    ApprovalAsked,
    Messages,
    ModelRequested,
    ModelResponded,
    RunParked,
    RunSucceeded,
    ToolStarted,
    Usage,
)
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.domain.state import RunState, WaitingOn
from holdfast.store.journal import ApprovalRow, Finish, Park
from support.journals import (
    blob_digests,
    hold_run,
    keys,
    noted,
    open_journal,
    run_row,
    signal,
    stored,
    types,
    writing,
)


def requested(step: int = 1) -> ModelRequested:
    return ModelRequested(scope="", step=step, attempt=1, model="m", messages=Messages())


def responded(step: int = 1) -> ModelResponded:
    return ModelResponded(
        scope="",
        step=step,
        attempt=1,
        response=Ref("00"),
        history=Messages(),
        model="m",
        usage=Usage(input_tokens=7, output_tokens=5),
        latency_ms=3,
    )


def tool_started() -> ToolStarted:
    return ToolStarted(scope="", step=2, call="c", tool="t", recovery=Recovery.ONCE, key="k", args=Ref("00"), schema="")


def succeeded() -> RunSucceeded:
    return RunSucceeded(output=Ref("00"), history=Messages(), usage=Usage())


def halt(database, held):
    with psycopg.connect(database.api_url) as connection:
        connection.execute("select set_config('holdfast.tenant', %s, true)", [str(held.tenant)])
        connection.execute(
            "select holdfast.declare_halt(%s, gen_random_uuid(), 'run', %s, 'why', 'me', 3, null)",
            [held.tenant, str(held.run)],
        )


async def test_append_returns_when_committed_with_the_sequence_of_its_last_event(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        assert await journal.append(noted("a"), noted("b")) == 3
        assert keys(database.admin_url, held) == ["a", "b"]
        assert await journal.append(noted("c")) == 4
    assert (journal.seq, journal.head) == (4, stored(database.admin_url, held)[-1].hash)


async def test_siblings_that_finish_together_are_one_member_of_one_commit(database):
    held = hold_run(database.admin_url)
    commits = []
    async with writing(database.worker_url, probe=commits.append) as writer:
        journal = open_journal(writer, held)
        seqs = await asyncio.gather(*(journal.append(noted(str(n))) for n in range(5)))
    assert seqs == [2, 3, 4, 5, 6]
    assert keys(database.admin_url, held) == ["0", "1", "2", "3", "4"]
    assert commits == ["append.before_send", "append.after_commit"]


async def test_held_facts_ride_with_the_next_append(database):
    held = hold_run(database.admin_url)
    commits = []
    async with writing(database.worker_url, hold_s=60, probe=commits.append) as writer:
        journal = open_journal(writer, held)
        journal.hold(noted("held"))
        await journal.append(noted("appended"))
        assert len(commits) == 2
    assert keys(database.admin_url, held) == ["held", "appended"]


async def test_held_facts_commit_by_themselves_in_time(database):
    held = hold_run(database.admin_url)
    committed = asyncio.Event()
    probe = lambda point: committed.set() if point == "append.after_commit" else None  # noqa: E731
    async with writing(database.worker_url, probe=probe) as writer:
        open_journal(writer, held).hold(noted("held"))
        await asyncio.wait_for(committed.wait(), 30)
        assert keys(database.admin_url, held) == ["held"]


async def test_held_facts_wait_no_longer_because_the_loop_is_busy(database):
    """Counted in turns of the loop, each longer than facts may be held: a known outcome is not kept for company."""
    sent = []
    async with writing(database.worker_url, probe=sent.append) as writer:
        journals = [open_journal(writer, hold_run(database.admin_url)) for _ in range(8)]
        for journal in journals[:3]:  # what the writer makes of a loop that takes so long, it makes of these
            await asyncio.gather(journal.append(noted("before")), *(_turn(writer) for _ in range(8)))
        del sent[:]
        journals[-1].hold(noted("held"))
        turns = 0
        while not sent:
            await _turn(writer)
            turns += 1
        assert turns <= 10
        await journals[-1].flush()


async def _turn(writer):
    until = time.perf_counter() + 1.5 * writer.hold_s
    while time.perf_counter() < until:
        pass
    await asyncio.sleep(0)


async def test_flush_commits_what_is_held(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url, hold_s=60) as writer:
        journal = open_journal(writer, held)
        journal.hold(noted("held"))
        await journal.flush()
        assert keys(database.admin_url, held) == ["held"]
        await journal.flush()


async def test_an_intent_cannot_be_held(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        with pytest.raises(ValueError, match="intent"):
            open_journal(writer, held).hold(requested())


async def test_counters_follow_from_the_events(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        await journal.append(requested())
        await journal.append(responded(), tool_started())
    row = run_row(database.admin_url, held)
    assert [row[name] for name in ("steps", "model_requests", "tool_calls", "input_tokens", "output_tokens")] == [
        2,
        1,
        1,
        7,
        5,
    ]


async def test_an_outcome_is_progress_and_resets_the_claims(database):
    held = hold_run(database.admin_url)
    with database.as_owner() as owner:
        owner.execute("select set_config('holdfast.tenant', %s, false)", [str(held.tenant)])
        owner.execute("update holdfast.runs set claims = 2")
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        await journal.append(requested())
        assert run_row(database.admin_url, held)["claims"] == 2
        await journal.append(responded())
        assert run_row(database.admin_url, held)["claims"] == 0


async def test_content_is_stored_once_and_with_the_event_that_names_it(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        ref = journal.seal(b"content")
        assert blob_digests(database.admin_url, held) == set()
        await journal.append(noted("a"))
        assert blob_digests(database.admin_url, held) == {ref}
        assert journal.seal(b"content") == ref
        await journal.append(noted("b"))
        other = journal.stage(b"\1" * 32, b"sealed elsewhere")
        await journal.append(noted("c"))
    assert blob_digests(database.admin_url, held) == {ref, other}


async def test_a_message_list_too_long_for_an_event_becomes_content(database):
    held = hold_run(database.admin_url)
    refs = [f"{n:064x}" for n in range(2000)]
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        await journal.append(
            ModelRequested(scope="", step=1, attempt=1, model="m", messages=Messages(keep=3, add=refs))
        )
    event = stored(database.admin_url, held)[-1].load()
    assert isinstance(event, ModelRequested)
    assert (event.messages.keep, event.messages.add) == (3, [])
    assert blob_digests(database.admin_url, held) == {event.messages.more}


async def test_what_is_too_large_is_refused_before_it_is_queued(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        with pytest.raises(TooLarge):
            await journal.append(noted("x" * 70_000))
        with pytest.raises(TooLarge):
            journal.seal(bytes(16 * 1024 * 1024 + 1))
        await journal.append(noted("after"))
    assert keys(database.admin_url, held) == ["after"]


async def test_parking_writes_the_approval_and_lets_the_run_go(database):
    held = hold_run(database.admin_url)
    approval = uuid4()
    asked = ApprovalAsked(approval=approval, scope="", step=1, call="c\0", tool="t\udc80", args=Ref("0a"), digest="d")
    row = ApprovalRow(
        id=approval, kind="approval", scope="", step=1, call="c\0", tool="t\udc80", args=Ref("0a"), digest="d"
    )
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        await journal.append(asked, RunParked(waiting_on=WaitingOn.APPROVAL), rows=[row], park=Park(WaitingOn.APPROVAL))
        with pytest.raises(RunLost):
            await journal.append(noted("late"))
    run = run_row(database.admin_url, held)
    assert (run["state"], run["waiting_on"], run["worker"]) == ("parked", "approval", None)
    with database.as_owner() as owner:
        owner.execute("select set_config('holdfast.tenant', %s, false)", [str(held.tenant)])
        assert owner.execute("select id, call, tool from holdfast.approvals").fetchall() == [
            (approval, "c\\u0000", "t\\udc80")
        ]


async def test_what_is_queued_behind_the_end_of_a_run_is_not_committed(database):
    held = hold_run(database.admin_url)
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        finished = asyncio.create_task(journal.append(succeeded(), finish=Finish(RunState.SUCCEEDED)))
        late = asyncio.create_task(journal.append(noted("late")))
        await finished
        with pytest.raises(RunLost):
            await late
    assert types(database.admin_url, held) == ["run_succeeded"]


async def test_finishing_is_refused_while_a_signal_is_not_folded_in_and_its_events_are_not_committed(database):
    held = hold_run(database.admin_url)
    seq = signal(database.api_url, held)
    async with writing(database.worker_url, hold_s=60) as writer:
        journal = open_journal(writer, held)
        journal.hold(noted("held"))
        with pytest.raises(SignalsPending) as caught:
            await journal.append(succeeded(), finish=Finish(RunState.SUCCEEDED))
        assert (caught.value.inbox_seq, journal.inbox_seq) == (seq, seq)
        await journal.flush()
        assert types(database.admin_url, held) == ["noted"]
        await journal.append(noted("folded"), fold_to=seq)
        await journal.append(succeeded(), finish=Finish(RunState.SUCCEEDED))
    assert types(database.admin_url, held) == ["noted", "noted", "run_succeeded"]
    assert run_row(database.admin_url, held)["state"] == "succeeded"


async def test_a_halt_refuses_the_intents_and_commits_the_facts(database):
    held = hold_run(database.admin_url)
    halt(database, held)
    async with writing(database.worker_url, hold_s=60) as writer:
        journal = open_journal(writer, held)
        ref = journal.seal(b"named by the fact")
        journal.hold(noted("held"))
        mixed = asyncio.create_task(journal.append(responded(), tool_started()))
        intent = asyncio.create_task(journal.append(requested()))
        fact = asyncio.create_task(journal.append(noted("fact")))
        with pytest.raises(RunHalted):
            await mixed
        assert types(database.admin_url, held) == ["noted", "model_responded", "noted"]
        with pytest.raises(RunHalted):
            await intent
        await fact
        assert await journal.append(noted("later")) == 5
    assert blob_digests(database.admin_url, held) == {ref}
    assert run_row(database.admin_url, held)["tool_calls"] == 0


async def test_intents_that_keep_coming_under_a_halt_do_not_keep_the_facts_from_being_committed(database):
    held = hold_run(database.admin_url)
    halt(database, held)
    sends, intents = [], []

    def one_more_intent(point):
        if point == "append.before_send" and len(sends) < 20:
            sends.append(point)
            intents.append(asyncio.create_task(journal.append(requested())))

    async with writing(database.worker_url, probe=one_more_intent) as writer:
        journal = open_journal(writer, held)
        with pytest.raises(RunHalted):
            await journal.append(responded(), tool_started())
        assert len(sends) < 5
        results = await asyncio.gather(*intents, return_exceptions=True)
    assert {type(result) for result in results} == {RunHalted}
    assert types(database.admin_url, held) == ["model_responded"]


async def test_cancellation_refuses_the_intents_and_commits_the_facts(database):
    held = hold_run(database.admin_url)
    signal(database.api_url, held, "cancel")
    async with writing(database.worker_url) as writer:
        journal = open_journal(writer, held)
        with pytest.raises(RunCancelling):
            await journal.append(responded(), tool_started())
        assert journal.cancelling
    assert types(database.admin_url, held) == ["model_responded"]
