"""Rights that are lost while a request is under way: nothing is done by them, and what goes on ends."""

import asyncio

import httpx2
import pytest

from support.api_serving import serving
from support.exporting import exporting, fill, snapshots
from support.held_back import held_back
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


def revoke(role):
    async def revoke_role(admin, person):
        return await admin.delete(f"/v1/principals/{person}/roles/{role}")

    return revoke_role


revoke_role = revoke("auditor")


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


async def long_enough(admin):
    """Until rights that were looked at before are looked at again, by the heartbeats of a stream."""
    async with feed(admin, await started(admin)) as events:
        for _ in range(8):
            await events.next(comments=True)


HALT = ("/v1/halts", {"scope": "tenant", "reason": "x"})
PRINCIPAL = ("/v1/principals", {"name": "Eve", "roles": ["admin"]})
KEY = ("/v1/keys", {"name": "for later"})
RUN = (SUPPORT, {"input": "held back"})


@pytest.mark.parametrize(
    ("role", "sent", "lose", "then"),
    [
        ("admin", PRINCIPAL, disable, (401, "unauthenticated")),
        ("admin", PRINCIPAL, revoke_keys, (401, "unauthenticated")),
        ("admin", PRINCIPAL, revoke("admin"), (403, "missing-scope")),
        ("operator", HALT, disable, (401, "unauthenticated")),
        ("operator", HALT, revoke("operator"), (403, "missing-scope")),
        ("user", KEY, revoke_keys, (401, "unauthenticated")),
        ("user", RUN, disable, (401, "unauthenticated")),
    ],
)
async def test_a_body_that_is_held_back_does_nothing_once_its_senders_rights_are_lost(parties, role, sent, lose, then):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    person, sender = await parties.person(acme, "Ann", role)
    async with held_back(sender, *sent) as request:
        assert (await lose(acme, person)).status_code == 200
        before = await everything(acme)
        await long_enough(bolt)
        status, problem = await request.finish()
    assert (status, problem["type"]) == (then[0], f"/problems/{then[1]}")
    assert await everything(acme) == before
    again = await sender.post(sent[0], json=sent[1])
    assert (again.status_code, again.json()) == (status, problem), "it is told what a new request is told"


async def everything(admin):
    """What such requests make."""
    paths = ("/v1/principals", "/v1/keys", "/v1/halts", "/v1/runs")
    return {path: (await admin.get(path)).json()["items"] for path in paths}


async def test_a_body_that_is_held_back_starts_nothing_once_the_tenant_is_suspended(parties):
    acme = await parties.tenant("acme")
    _, sender = await parties.person(acme, "Ann", "user")
    bolt = await parties.tenant("bolt")
    async with held_back(sender, *RUN) as request:
        assert (await parties.platform.post("/v1/tenants/acme/suspend", json={"reason": "x"})).status_code == 200
        await long_enough(bolt)
        status, problem = await request.finish()
    assert (status, problem["type"]) == (409, "/problems/tenant-suspended")
    assert (await acme.get("/v1/runs")).json()["items"] == []


async def test_a_body_that_took_long_is_acted_on_by_what_its_sender_may_by_then(parties):
    """The scope stays, its reach is their own runs only; another's is not there for them any more."""
    acme = await parties.tenant("acme")
    person, sender = await parties.person(acme, "Ann", "operator", "user")
    run = await started(acme)
    async with held_back(sender, f"/v1/runs/{run}/messages", {"message": "x"}) as request:
        assert (await revoke("operator")(acme, person)).status_code == 200
        await long_enough(acme)
        assert (await request.finish())[0] == 404
    async with held_back(sender, *RUN) as request:
        await long_enough(acme)
        assert (await request.finish())[0] == 202, "who may still is not kept from it"


async def test_a_body_that_does_not_arrive_is_refused_and_its_connection_ends(database):
    async with serving(database.api_url, max_body_s=0.2) as url, gathered(url, database.api_url) as parties:
        acme = await parties.tenant("acme")
        async with httpx2.AsyncClient(base_url=url) as stranger:
            for client, path in ((acme, "/v1/principals"), (acme, "/v1/halts"), (stranger, "/links/x")):
                async with held_back(client, path, {"name": "Eve"}) as request:
                    status, problem = await request.answer()
                    assert (status, problem["type"]) == (408, "/problems/slow-body")
                    assert "0.2 s" in problem["detail"]
                    assert "connection: close" in request.headers
                    assert await request.reader.read() == b""
        assert [one["name"] for one in (await acme.get("/v1/principals")).json()["items"]] == ["Ada"]


@pytest.mark.parametrize("lose", [disable, revoke_keys, revoke("admin")])
async def test_an_export_is_broken_off_when_its_reader_may_read_no_more(parties, database, lose):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    fill(database, (await acme.get("/v1/tenant")).json()["id"])
    person, reader = await parties.person(acme, "Eve", "admin")
    async with exporting(reader) as export:
        assert export.status == 200
        assert (await lose(acme, person)).status_code == 200
        await long_enough(bolt)
        sent = await export.rest()
    assert b'{"end":' not in sent
    assert not sent.endswith(b"0\r\n\r\n"), "HTTP says as well that it is not complete"
    assert snapshots(database) == 0


async def test_an_export_goes_on_when_other_rights_change(parties, database):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    fill(database, (await acme.get("/v1/tenant")).json()["id"])
    person, reader = await parties.person(acme, "Eve", "admin")
    async with exporting(reader) as export:
        await acme.put(f"/v1/principals/{person}/roles/approver")
        await long_enough(bolt)
        assert b'{"end":' in await export.rest()
