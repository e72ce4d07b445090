"""Starting, listing, looking at and stopping runs, over real HTTP against an API process."""

import asyncio
from uuid import uuid4

import httpx2
import psycopg

from holdfast.domain.ids import DEFAULT_TENANT
from support.api_process import started


async def start(client, task="support", given="hello", **more):
    return await client.post(f"/v1/tasks/{task}/runs", json={"input": given}, **more)


async def test_a_run_is_accepted_and_found_where_the_answer_says(client):
    answer = await start(client)
    run = answer.json()
    assert (answer.status_code, answer.headers["location"], run["state"]) == (202, f"/v1/runs/{run['id']}", "queued")
    found = await client.get(answer.headers["location"])
    assert (found.status_code, found.json()["id"], found.json()["labels"]) == (200, run["id"], {})
    listed = (await client.get("/v1/runs", params={"task": "support", "state": "queued"})).json()
    assert [one["id"] for one in listed["items"]] == [run["id"]]
    assert listed["next"] is None


async def test_tasks_are_listed_with_their_input(client):
    tasks = (await client.get("/v1/tasks")).json()
    assert [(task["name"], task["version"]) for task in tasks] == [("order", "1"), ("support", "3")]
    assert tasks[0]["input_schema"]["required"] == ["item", "count"]


async def test_wait_answers_200_with_the_run_that_ended_and_202_with_one_that_did_not(client, holder):
    asking = asyncio.create_task(start(client, params={"wait": 60}))
    while not (await client.get("/v1/runs")).json()["items"]:
        assert not asking.done()
    await (await holder.claim()).succeed({"answer": 42})
    answer = await asking
    assert (answer.status_code, answer.json()["output"]["value"]) == (200, {"answer": 42})
    answer = await start(client, params={"wait": 0.05})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


async def test_the_same_key_gives_the_same_run_and_another_body_is_refused(client):
    key = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(start(client, headers=key) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await start(client, given="other", headers=key)
    assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotency-key-reused")
    assert len((await client.get("/v1/runs")).json()["items"]) == 1


async def test_cancel_and_message_reach_the_inbox(client, holder):
    run = (await start(client)).json()["id"]
    held = await holder.claim()
    said = await client.post(f"/v1/runs/{run}/messages", json={"message": "faster"})
    stopped = await client.post(f"/v1/runs/{run}/cancel")
    assert (said.status_code, stopped.status_code, stopped.json()["cancelling"]) == (202, 202, True)
    assert [signal.kind for signal in await held.inbox()] == ["message", "cancel"]
    held.journal.inbox_seq = 2
    await held.cancelled()
    assert (await client.post(f"/v1/runs/{run}/cancel", json={"reason": "again"})).status_code == 202
    late = await client.post(f"/v1/runs/{run}/messages", json={"message": "too late"})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/run-finished")


async def test_an_approval_is_shown_and_decided(client, holder):
    run = (await start(client)).json()["id"]
    held = await holder.claim()
    approval = await held.ask_person({"order": 7})
    [task] = (await client.get("/v1/approvals")).json()["items"]
    assert (task["id"], task["run"], task["args"]["value"]) == (str(approval), run, {"order": 7})
    url = f"/v1/approvals/{approval}/decision"
    wrong = await client.post(url, json={"verdict": "approved", "digest": "other"})
    assert (wrong.status_code, wrong.json()["type"]) == (409, "/problems/digest-mismatch")
    kind = await client.post(url, json={"verdict": "done", "digest": task["digest"]})
    assert (kind.status_code, kind.json()["type"]) == (422, "/problems/invalid-input")
    decided = await client.post(url, json={"verdict": "approved", "digest": task["digest"], "args": {"order": 8}})
    assert (decided.status_code, decided.json()["state"]) == (200, "approved")
    [signal] = await held.inbox()
    assert held.opened(signal) == {"order": 8}
    late = await client.post(url, json={"verdict": "rejected", "digest": task["digest"]})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/already-decided")
    assert (await client.get(f"/v1/approvals/{approval}")).json()["state"] == "approved"
    assert (await client.get("/v1/approvals")).json()["items"] == []


async def test_an_effect_in_doubt_is_resolved_over_http(client, holder):
    await start(client)
    held = await holder.claim()
    doubt = await held.ask_person({"order": 7}, kind="in_doubt")
    task = (await client.get(f"/v1/approvals/{doubt}")).json()
    assert task["kind"] == "in_doubt"
    body = {"verdict": "done", "digest": task["digest"], "result": {"refund": 1}}
    resolved = await client.post(f"/v1/approvals/{doubt}/decision", json=body)
    assert (resolved.status_code, resolved.json()["state"]) == (200, "done")
    [signal] = await held.inbox()
    assert held.opened(signal) == {"refund": 1}


async def test_it_is_alive_without_a_database_and_ready_only_with_its_schema(client, database):
    assert (await client.get("/readyz")).status_code == 200
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.schema_version set version_num = '9999'")
    unready = await client.get("/readyz")
    assert (unready.status_code, unready.json()["type"]) == (503, "/problems/unavailable")
    assert unready.headers["retry-after"] == "2"
    assert (await client.get("/healthz")).status_code == 200


async def test_langgraph_8764_a_run_accepted_by_an_api_killed_right_after_is_not_lost(database, holder, bearer):
    for number in range(2):
        with started(database.api_url) as api:
            async with httpx2.AsyncClient(base_url=api.url, timeout=60, headers=bearer) as client:
                answer = await start(client, given=f"n{number}")
                api.kill()
        run = answer.json()["id"]
        held = await holder.claim()
        assert (str(held.claim.run), answer.status_code) == (run, 202)
        await held.succeed(number)
    with psycopg.connect(database.admin_url) as connection:
        found = connection.execute("select count(*) from holdfast.runs where state = 'succeeded'").fetchone()
        assert found == (2,)
        assert connection.execute("select distinct tenant from holdfast.runs").fetchall() == [(DEFAULT_TENANT,)]
