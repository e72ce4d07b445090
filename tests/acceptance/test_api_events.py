"""The event stream: durable events and live text, resumed at any place on any replica without gap or duplicate."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack

import httpx2
import pytest

from support.api_process import started
from support.api_serving import serving
from support.holder import open_holder
from support.sse import Sent, feed

DEADLINE_S = 60


async def start(client) -> str:
    return (await client.post("/v1/tasks/support/runs", json={"input": "hello"})).json()["id"]


def told(events: list[Sent]) -> tuple[list[tuple[str, int]], dict[tuple[int, int, int], str]]:
    """What a stream says, however it was cut: events that are not text in order, and the text of each part.

    Text that does not begin where the text before it ended is a gap or a duplicate.
    """
    facts: list[tuple[str, int]] = []
    texts: dict[tuple[int, int, int], str] = defaultdict(str)
    for sent in events:
        if sent.event == "delta":
            place = (sent.data["seq"], sent.data["attempt"], sent.data["part"])
            assert sent.data["start"] == len(texts[place]), f"gap or duplicate at {sent.id}"
            texts[place] += sent.data["text"]
        else:
            facts.append((sent.event, sent.data["seq"]))
    return facts, dict(texts)


def voids(events: list[Sent]) -> list[tuple[int, int]]:
    """The attempts that were declared void, as often as they were."""
    return [(sent.data["seq"], sent.data["attempt"]) for sent in events if sent.event == "attempt_void"]


def kept(events: list[Sent]) -> tuple[list[tuple[str, int]], dict[tuple[int, int, int], str]]:
    """What a client that heeds voids is left with."""
    facts, texts = told(events)
    void = set(voids(events))
    return (
        [fact for fact in facts if fact[0] != "attempt_void"],
        {place: text for place, text in texts.items() if place[:2] not in void},
    )


async def say(live, feed_, part: int, kind: str, *texts: str) -> list[Sent]:
    """Publish each text and see it arrive before the next is published: each is an item of its own."""
    seen: list[Sent] = []
    for text in texts:
        live.delta(part, kind, text)
        sent = await feed_.next()
        assert (sent.event, sent.data["text"]) == ("delta", text)
        seen.append(sent)
    return seen


async def test_durable_events_come_in_order_and_the_stream_ends_with_the_run(client, holder):
    run = await start(client)
    held = await holder.claim()
    async with feed(client, run) as stream:
        first = await stream.next()
        assert (first.event, first.id, first.data["content"]["input"]["value"]) == ("run_accepted", "1", "hello")
        await held.claimed()
        assert (await stream.next()).event == "run_claimed"
        await held.succeed("bye")
        last = await stream.next()
        assert (last.event, last.id, last.data["content"]["output"]["value"]) == ("run_succeeded", "3", "bye")
        assert await stream.next() is None
    again = await client.get(f"/v1/runs/{run}/events", headers={"Last-Event-ID": "3"})
    assert again.status_code == 204, "a client that comes back after the end is told not to"


async def test_silence_is_filled_with_heartbeats(client):
    run = await start(client)
    async with feed(client, run) as stream:
        assert (await stream.next()).event == "run_accepted"
        for _ in range(2):
            assert (await stream.next(comments=True)).comment == "heartbeat"


async def test_text_comes_as_it_is_generated_with_the_place_it_reaches(client, holder):
    run = await start(client)
    held = await holder.claim()
    await held.claimed()
    seq, live = await held.ask_model(), held.live()
    live.begin(seq, 1)
    async with feed(client, run) as stream:
        await stream.until("model_requested")
        said = await say(live, stream, 0, "text", "Hel", "lo ", "Ärger 🎈")
        assert [one.id for one in said] == ["3.1.0.3", "3.1.0.6", "3.1.0.13"]
        await held.respond({"part_kind": "text", "content": "Hello Ärger 🎈 and more"})
        rest, responded = await stream.next(), await stream.next()
        assert (rest.data["text"], rest.data["start"]) == (" and more", 13)
        assert (responded.event, responded.id) == ("model_responded", "4")
        live.end()


async def test_without_deltas_only_durable_events_come(client, holder):
    run = await start(client)
    held = await holder.claim()
    await held.ask_model()
    await held.respond({"part_kind": "text", "content": "hello"})
    await held.succeed()
    async with feed(client, run, deltas="false") as stream:
        events = [sent.event for sent in await stream.rest()]
    assert events == ["run_accepted", "model_requested", "model_responded", "run_succeeded"]


async def test_pages_for_those_who_poll(client, holder):
    run = await start(client)
    held = await holder.claim()
    await held.claimed()
    seen, after = [], ""
    while True:
        answer = await client.get(
            f"/v1/runs/{run}/events", headers={"Accept": "application/json"}, params={"after": after, "limit": 1}
        )
        page = answer.json()
        seen += [event["type"] for event in page["items"]]
        after = page["next"]
        if page["ended"]:
            break
        if not page["items"]:
            await held.succeed()
    assert seen == ["run_accepted", "run_claimed", "run_succeeded"]


async def test_after_in_the_query_is_as_last_event_id(client, holder):
    run = await start(client)
    await (await holder.claim()).succeed()
    async with feed(client, run, after="1") as stream:
        assert [sent.event for sent in await stream.rest()] == ["run_succeeded"]


@pytest.mark.parametrize(
    "place", ["x", "-1", "1.2", "1.2.3", "1__2", "9", "1.1.0.1_1.1.0.2", "²", "1.1.void", "1.1.void_"]
)
async def test_a_place_that_is_none_is_refused(client, place):
    run = await start(client)
    answer = await client.get(f"/v1/runs/{run}/events", params={"after": place})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_text_of_an_attempt_that_failed_is_void(client, holder):
    run = await start(client)
    held = await holder.claim()
    await held.claimed()
    live = held.live()
    live.begin(await held.ask_model(attempt=1), 1)
    async with feed(client, run) as stream:
        await stream.until("model_requested")
        await say(live, stream, 0, "text", "wrong")
        live.begin(await held.ask_model(attempt=2), 2)
        void = await stream.next()
        assert (void.event, void.data["seq"], void.data["attempt"]) == ("attempt_void", 3, 1)
        assert (await stream.next()).event == "model_requested"
        await say(live, stream, 0, "text", "right")
        await held.respond({"part_kind": "text", "content": "right"}, attempt=2)
        assert (await stream.next()).event == "model_responded"


async def test_text_of_a_holder_that_died_is_void_once_another_carries_on(client, database):
    run = await start(client)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_holder(database.worker_url, lease_s=600.0))
        held = await first.claim()
        await held.claimed()
        live = held.live()
        live.begin(await held.ask_model(), 1)
        stream = await stack.enter_async_context(feed(client, run))
        await stream.until("model_requested")
        [said] = await say(live, stream, 0, "text", "half a sen")
        with database.as_owner() as connection:
            connection.execute("update holdfast.clock set skew = '1 hour'")
        second = await stack.enter_async_context(open_holder(database.worker_url))
        await rescued(second)
        taken = await second.claim()
        await taken.claimed()
        assert (await stream.next()).event == "attempt_void"
        assert (await stream.next()).event == "run_claimed"
        again = taken.live()
        again.begin(await taken.ask_model(attempt=2), 2)
        assert (await stream.next()).event == "model_requested"
        await say(again, stream, 0, "text", "a whole sentence")
        async with feed(client, run, said.id) as resumed:
            events = [await resumed.next() for _ in range(4)]
        assert [one.event for one in events] == ["attempt_void", "run_claimed", "model_requested", "delta"]
        async with feed(client, run, events[0].id) as resumed:
            assert (await resumed.next()).event == "run_claimed", "void is said once"


async def rescued(holder) -> None:
    from holdfast.store.leases import tick

    async with asyncio.timeout(DEADLINE_S):
        while (await tick(holder.db, 100)).rescued == 0:
            pass


async def perform(held, stream) -> list[Sent]:
    """A run with all a stream can hold, seen by one client that is never cut: parts, attempts, two at once, tools."""
    seen = await stream.until("run_accepted")
    await held.claimed()
    live = held.live()
    live.begin(await held.ask_model(1), 1)
    seen += await stream.until("model_requested")
    seen += await say(live, stream, 0, "thinking", "let me ", "think")
    live.begin(await held.ask_model(1, attempt=2), 2)
    seen += await stream.until("model_requested")
    seen += await say(live, stream, 0, "thinking", "well")
    seen += await say(live, stream, 1, "text", "I will ")
    seen += await say(live, stream, 2, "tool_call", '{"order"', ": 7}")
    seen += await say(live, stream, 1, "text", "look.")
    await held.respond(
        {"part_kind": "thinking", "content": "well, well"},
        {"part_kind": "text", "content": "I will look."},
        {"part_kind": "tool-call", "tool_name": "refund", "args": '{"order": 7}', "tool_call_id": "c1"},
        attempt=2,
    )
    live.end()
    await held.start_tool(args={"order": 7})
    seen += await stream.until("tool_started")
    left, right = held.live(), held.live()
    left.begin(await held.ask_model(1, scope="a/"), 1)
    seen += await stream.until("model_requested")
    seen += await say(left, stream, 0, "text", "left ")
    right.begin(await held.ask_model(1, scope="b/"), 1)
    seen += await stream.until("model_requested")
    seen += await say(right, stream, 0, "text", "right ")
    seen += await say(left, stream, 0, "text", "hand")
    await held.respond({"part_kind": "text", "content": "right hand"}, scope="b/")
    right.end()
    seen += await stream.until("model_responded")
    seen += await say(left, stream, 0, "text", " side")
    await held.respond({"part_kind": "text", "content": "left hand side"}, scope="a/")
    left.end()
    await held.finish_tool("refunded")
    await held.succeed("bye")
    return seen + await stream.rest()


async def test_cut_anywhere_and_resumed_on_another_replica_the_stream_is_the_same(client, holder, database, bearer):
    run = await start(client)
    held = await holder.claim()
    async with feed(client, run) as stream:
        uncut = await perform(held, stream)
    whole = kept(uncut)
    assert voids(uncut) == [(3, 1)]
    ids = [sent.id for sent in uncut]
    async with (
        serving(database.api_url) as replica,
        httpx2.AsyncClient(base_url=replica, timeout=60, headers=bearer) as other,
    ):
        for cut in range(len(uncut) - 1):
            async with feed(other, run, ids[cut]) as stream:
                resumed = await stream.rest()
            joined = uncut[: cut + 1] + resumed
            assert kept(joined) == whole, f"cut behind {ids[cut]}"
            saw_void_text = any(sent.id.startswith("3.1.") for sent in uncut[: cut + 1])
            assert voids(joined) == ([(3, 1)] if saw_void_text else []), f"cut behind {ids[cut]}"


async def test_langgraph_8112_no_two_events_have_one_id(client, holder):
    run = await start(client)
    held = await holder.claim()
    async with feed(client, run) as stream:
        uncut = await perform(held, stream)
    ids = [sent.id for sent in uncut]
    assert len(ids) == len(set(ids))
    assert len(ids) == len({id_.partition("_")[0] for id_ in ids}), "not even their first terms"


async def test_cut_while_it_happens_and_resumed_on_another_replica_process(client, holder, database, bearer):
    """Two clients take turns: one reads a few items here, the next goes on in a process of its own."""
    run = await start(client)
    held = await holder.claim()
    with started(database.api_url) as replica:
        async with httpx2.AsyncClient(base_url=replica.url, timeout=60, headers=bearer) as other:
            performing = asyncio.create_task(_perform_unseen(held))
            seen: list[Sent] = []
            turn = 0
            while not seen or seen[-1].event != "run_succeeded":
                turn += 1
                async with feed(other if turn % 2 else client, run, seen[-1].id if seen else "") as stream:
                    for _ in range(1 + turn % 3):
                        if (sent := await stream.next()) is None:
                            break
                        seen.append(sent)
            await performing
    async with feed(client, run) as stream:
        assert kept(seen) == told(await stream.rest())
    assert len({sent.id for sent in seen}) == len(seen)
    assert turn > 5


async def _perform_unseen(held) -> None:
    await held.claimed()
    for step in range(1, 4):
        live = held.live()
        live.begin(await held.ask_model(step), 1)
        for word in ("one ", "two ", "three ", "four ") * 5:
            live.delta(0, "text", word)
            await asyncio.sleep(0.01)  # the pace of a model, not a wait for anything
        await held.respond({"part_kind": "text", "content": "one two three four " * 5}, step=step)
        live.end()
    await held.succeed()
