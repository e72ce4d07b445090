"""An answer that goes on ends when the one who reads it may read no more: streams, and requests that wait."""

import asyncio

import httpx2
import pytest

from support.parties import gathered
from support.sse import feed

SUPPORT = "/v1/tasks/support/runs"


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


async def started(client: httpx2.AsyncClient) -> str:
    answer = await client.post(SUPPORT, json={"input": "hello"})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def disable(admin, person):
    return await admin.post(f"/v1/principals/{person}/disable")


async def revoke_role(admin, person):
    return await admin.delete(f"/v1/principals/{person}/roles/auditor")


async def revoke_keys(admin, person):
    keys = (await admin.get("/v1/keys")).json()["items"]
    [answer] = [await admin.delete(f"/v1/keys/{key['id']}") for key in keys if key["principal"] == person]
    return answer


async def trade_for_user(admin, person):
    """The scope stays, its reach is their own runs only."""
    await admin.put(f"/v1/principals/{person}/roles/user")
    return await revoke_role(admin, person)


@pytest.mark.parametrize(
    ("lose", "then"), [(disable, 401), (revoke_role, 403), (revoke_keys, 401), (trade_for_user, 404)]
)
async def test_a_stream_ends_when_its_reader_may_read_no_more(parties, lose, then):
    acme = await parties.tenant("acme")
    person, reader = await parties.person(acme, "Ann", "auditor")
    run = await started(acme)
    async with feed(reader, run) as events, feed(acme, run) as others:
        assert [sent.event for sent in await events.until("run_accepted")] == ["run_accepted"]
        assert (await lose(acme, person)).status_code == 200
        assert await events.rest() == []
        assert (await others.until("run_accepted"))[-1].event == "run_accepted"
        assert (await others.next(comments=True)).comment == "heartbeat", "who may read goes on reading"
    assert (await reader.get(f"/v1/runs/{run}/events")).status_code == then


async def test_a_stream_goes_on_when_other_rights_change(parties):
    acme = await parties.tenant("acme")
    person, reader = await parties.person(acme, "Ann", "auditor")
    run = await started(acme)
    async with feed(reader, run) as events:
        await events.until("run_accepted")
        await acme.put(f"/v1/principals/{person}/roles/approver")
        heard = [await events.next(comments=True) for _ in range(12)]
        assert {one.comment for one in heard} == {"heartbeat"}, "twelve of them are longer than rights stay unlooked at"


@pytest.mark.parametrize(("lose", "then"), [(disable, 401), (revoke_keys, 401)])
async def test_a_request_that_waits_is_refused_when_its_caller_may_no_more(parties, lose, then):
    acme = await parties.tenant("acme")
    person, ann = await parties.person(acme, "Ann", "user")
    waiting = asyncio.create_task(ann.post(f"{SUPPORT}?wait=60", json={"input": "x"}))
    while not (await acme.get("/v1/runs")).json()["items"]:
        assert not waiting.done()
    await lose(acme, person)
    assert (await waiting).status_code == then
