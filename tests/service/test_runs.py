"""Looking at runs, telling them something, and waiting for them."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import AlreadyFinished, IdempotencyConflict, InvalidCursor, InvalidInput, NotFound
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.state import RunState
from holdfast.service.cancel_run import cancel_run
from holdfast.service.contents import SHOWN_BYTES
from holdfast.service.get_run import get_run
from holdfast.service.list_runs import list_runs
from holdfast.service.read_events import read_events
from holdfast.service.send_message import send_message
from holdfast.service.services import LOCAL
from holdfast.service.show_run import show_run
from holdfast.service.start_run import start_run
from holdfast.service.wait_for_run import wait_for_run
from support.credentials import admin


async def test_how_a_run_ended_is_part_of_it(services, holder):
    good = await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    await held.succeed({"answer": "y" * (SHOWN_BYTES + 1)})
    ended = await get_run(services, LOCAL, good.id)
    assert ended.state is RunState.SUCCEEDED
    assert ended.output is not None
    assert ended.output.value == {"answer": "y" * (SHOWN_BYTES + 1)}, "an output is given whole"
    bad = await start_run(services, LOCAL, "support", "x")
    await (await holder.claim()).fail("ToolBroke", "no such order")
    ended = await get_run(services, LOCAL, bad.id)
    assert ended.error is not None
    assert (ended.error.error, ended.error.message.value, ended.error.place) == ("ToolBroke", "no such order", "step 1")


async def test_a_run_of_another_tenant_is_as_absent(services):
    run = await start_run(services, LOCAL, "support", "x")
    stranger = admin(uuid4())
    with pytest.raises(NotFound) as foreign:
        await get_run(services, stranger, run.id)
    with pytest.raises(NotFound) as absent:
        await get_run(services, LOCAL, uuid4())
    assert str(foreign.value) == str(absent.value)
    assert (await list_runs(services, stranger)).items == []


async def test_pages_cover_every_run_once_while_others_start(services):
    started = [(await start_run(services, LOCAL, "support", str(number))).id for number in range(5)]
    seen, cursor = [], None
    while True:
        page = await list_runs(services, LOCAL, cursor=cursor, limit=2)
        seen += [run.id for run in page.items]
        await start_run(services, LOCAL, "support", "later")
        if (cursor := page.next) is None:
            break
    assert seen == started[::-1]


async def test_lists_are_filtered(services, holder):
    session = uuid4()
    first = await start_run(services, LOCAL, "support", "x", session=session)
    await (await holder.claim()).succeed()
    second = await start_run(services, LOCAL, "order", {"item": "tea", "count": 1})
    for given, expected in (
        ({"task": "order"}, [second.id]),
        ({"state": RunState.SUCCEEDED}, [first.id]),
        ({"session": session}, [first.id]),
        ({"task": "order", "state": RunState.FAILED}, []),
    ):
        assert [run.id for run in (await list_runs(services, LOCAL, **given)).items] == expected


@pytest.mark.parametrize("cursor", ["x", "====", "é", "MjAyNg", "MjAyNi0wMS0wMSBub3QtYS11dWlk"])
async def test_a_malformed_list_cursor_is_refused(services, cursor):
    with pytest.raises(InvalidCursor):
        await list_runs(services, LOCAL, cursor=cursor)


async def test_cancelling_is_a_signal_and_asking_again_changes_nothing(services, holder):
    run = await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    assert (await cancel_run(services, LOCAL, run.id, reason="enough")).cancelling
    assert (await cancel_run(services, LOCAL, run.id, reason="again")).cancelling
    [signal] = await held.inbox()
    assert (signal.kind, signal.by, held.opened(signal)) == ("cancel", LOCAL.principal, "enough")
    held.journal.inbox_seq = signal.seq
    await held.cancelled()
    again = await cancel_run(services, LOCAL, run.id)
    assert (again.state, again.cancelling) == (RunState.CANCELLED, False)


async def test_nothing_can_be_said_to_a_run_that_has_ended(services, holder):
    run = await start_run(services, LOCAL, "support", "x")
    await (await holder.claim()).succeed()
    for saying in (cancel_run(services, LOCAL, run.id), send_message(services, LOCAL, run.id, "hello")):
        with pytest.raises(AlreadyFinished):
            await saying


async def test_a_message_arrives_sealed_and_once_for_its_key(services, holder, database):
    run = await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    for _ in range(2):
        await send_message(services, LOCAL, run.id, "the blue one", idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await send_message(services, LOCAL, run.id, "the red one", idempotency_key="k")
    with pytest.raises(InvalidInput, match="empty"):
        await send_message(services, LOCAL, run.id, "  ")
    [signal] = await held.inbox()
    assert (signal.kind, held.opened(signal)) == ("message", "the blue one")
    with psycopg.connect(database.admin_url) as connection:
        assert b"blue" not in connection.execute("select content from holdfast.signals").fetchone()[0]


async def test_waiting_ends_with_the_run_and_not_before(services, holder):
    run = await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    assert (await wait_for_run(services, LOCAL, run.id, timeout_s=0)).state is RunState.RUNNING
    waiting = asyncio.create_task(wait_for_run(services, LOCAL, run.id))
    await held.claimed()
    assert not waiting.done()
    await held.succeed("ok")
    async with asyncio.timeout(30):
        ended = await waiting
    assert ended.output is not None
    assert ended.output.value == "ok"


async def test_events_in_pages_show_content_capped(services, holder):
    run = await start_run(services, LOCAL, "support", "hello")
    held = await holder.claim()
    await held.claimed()
    await held.start_tool(args={"text": "z" * SHOWN_BYTES})
    await held.finish_tool({"ok": True})
    first = await read_events(services, LOCAL, run.id, limit=2)
    assert [event.type for event in first.items] == ["run_accepted", "run_claimed"]
    assert first.items[0].content["input"].value == "hello"
    second = await read_events(services, LOCAL, run.id, after=first.next)
    started, finished = second.items
    assert started.content["args"].truncated
    assert started.content["args"].size_bytes == len('{"text": ""}') + SHOWN_BYTES
    assert len(started.content["args"].text or "") == SHOWN_BYTES
    assert finished.content["result"].value == {"ok": True}
    assert not second.ended
    await held.succeed()
    last = await read_events(services, LOCAL, run.id, after=second.next)
    assert last.ended
    assert (await read_events(services, LOCAL, run.id, after=last.next)).ended
    with pytest.raises(InvalidCursor):
        await read_events(services, LOCAL, run.id, after="99")


async def test_erased_content_says_so(services, holder, database):
    run = await start_run(services, LOCAL, "support", "hello")
    await (await holder.claim()).succeed("bye")
    with database.as_owner() as connection:
        connection.execute("select set_config('holdfast.tenant', %s, false)", [str(DEFAULT_TENANT)])
        done = connection.execute("update holdfast.subject_keys set wrapped = null, destroyed_at = now()")
        assert done.rowcount == 1
    services.vault.forget(DEFAULT_TENANT, LOCAL.principal)
    events = await read_events(services, LOCAL, run.id)
    assert events.items[0].content["input"].erased
    view = await get_run(services, LOCAL, run.id)
    assert view.output is not None
    assert view.output.erased
    assert (await show_run(services, LOCAL, run.id)).steps[0].content["input"].erased


async def test_the_story_tells_every_step_and_why_it_waited(services, holder):
    run = await start_run(services, LOCAL, "support", "hello")
    held = await holder.claim()
    await held.claimed()
    await held.ask_model()
    await held.ask_model(attempt=2)
    await held.respond({"part_kind": "text", "content": "hi"}, attempt=2)
    await held.start_tool(args={"order": 7})
    await held.finish_tool("refunded")
    approval = await held.ask_person({"order": 7})
    story = await show_run(services, LOCAL, run.id)
    told = [(step.kind, step.title, step.outcome) for step in story.steps]
    assert told == [
        ("accepted", "asked for by local", "accepted"),
        ("model", "asked scripted", "answered"),
        ("tool", "called refund", "value"),
        ("approval", "asked whether to call refund", ""),
        ("wait", "waited for an approval", ""),
    ]
    model, tool = story.steps[1], story.steps[2]
    assert (model.attempts, model.input_tokens, model.output_tokens, model.duration_ms) == (2, 7, 5, 12)
    assert (tool.content["args"].value, tool.content["result"].value) == ({"order": 7}, "refunded")
    assert [task.id for task in story.waiting] == [approval]
