"""The life of a tenant: suspended, let go on, bounded, deleted."""

import asyncio
import hashlib
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest

from holdfast.domain import events as ev
from holdfast.domain.state import WaitingOn
from holdfast.store import tenants
from holdfast.store.journal import Park
from holdfast.store.pool import Database
from support.parties import gathered


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


async def start(client: httpx2.AsyncClient, given: str = "hello", **headers: str) -> httpx2.Response:
    return await client.post("/v1/tasks/support/runs", json={"input": given}, headers=headers)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


async def state(client: httpx2.AsyncClient, run: str) -> tuple[str, str | None]:
    view = (await client.get(f"/v1/runs/{run}")).json()
    return view["state"], view["waiting_on"]


async def change(parties, method: str, path: str, body=None) -> httpx2.Response:
    answer = await parties.platform.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer


async def test_a_suspended_tenant_starts_nothing_and_goes_on_where_it_was(parties, holder):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    run = (await start(acme)).json()["id"]
    answer = await change(parties, "POST", "/v1/tenants/acme/suspend", {"reason": "unpaid"})
    assert answer.json()["state"] == "suspended"
    assert await state(acme, run) == ("parked", "halt")
    assert problem(await start(acme)) == (409, "tenant-suspended")
    assert (await start(bolt)).status_code == 202, "others do not notice"
    entry = (await acme.get("/v1/audit")).json()["items"][0]
    assert (entry["action"], entry["details"]) == ("tenant.suspended", {"reason": "unpaid"})

    await (await holder.claim()).succeed("bolt's")
    await change(parties, "POST", "/v1/tenants/acme/resume")
    assert await state(acme, run) == ("queued", None)
    held = await holder.claim()
    assert str(held.claim.run) == run
    await held.succeed("done")
    assert await state(acme, run) == ("succeeded", None)


async def test_what_was_running_parks_at_its_next_intent_and_is_taken_up_again(parties, holder, database):
    """Also where the tenant is let go on at the very moment in which its run parks."""
    acme = await parties.tenant("acme")
    run = (await start(acme)).json()["id"]
    held = await holder.claim()
    await held.claimed()
    await change(parties, "POST", "/v1/tenants/acme/suspend", {"reason": "unpaid"})
    with pytest.raises(Exception, match="halt"):
        await held.ask_model()
    await change(parties, "POST", "/v1/tenants/acme/resume")
    await held.append(ev.RunParked(waiting_on=WaitingOn.HALT), park=Park(WaitingOn.HALT))
    assert await state(acme, run) == ("parked", "halt")
    with psycopg.connect(database.worker_url, autocommit=True) as worker:
        worker.execute("select * from holdfast.tick(100)")
    assert await state(acme, run) == ("queued", None)


async def test_a_tenant_has_as_many_runs_as_it_may(parties, holder):
    acme = await parties.tenant("acme")
    await change(parties, "PUT", "/v1/tenants/acme/quotas", {"runs": 3})
    answers = await asyncio.gather(*(start(acme, str(n)) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 7
    refused = await start(acme, "kept", **{"Idempotency-Key": "k"})
    assert problem(refused) == (409, "quota-exceeded")
    await (await holder.claim()).succeed("room")
    assert (await start(acme, "kept", **{"Idempotency-Key": "k"})).status_code == 202, "refused is not used up"


async def test_a_tenant_has_as_many_principals_and_bytes_as_it_may(parties):
    acme = await parties.tenant("acme")
    await change(parties, "PUT", "/v1/tenants/acme/quotas", {"principals": 2, "bytes": 0})
    assert problem(await start(acme)) == (409, "quota-exceeded")
    assert (await acme.post("/v1/principals", json={"name": "Ann"})).status_code == 201
    assert problem(await acme.post("/v1/principals", json={"name": "Ben"})) == (409, "quota-exceeded")
    shown = (await parties.platform.get("/v1/tenants/acme")).json()
    assert shown["quotas"] == {"principals": 2, "runs": None, "bytes": 0}
    await change(parties, "PUT", "/v1/tenants/acme/quotas", {})
    assert (await start(acme)).status_code == 202


async def test_a_deleted_tenant_leaves_evidence_and_nothing_else(parties, holder, database):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    for client in (acme, bolt):
        await start(client)
    held = [await holder.claim(), await holder.claim()]
    for one in held:
        await one.claimed()
        await one.ask_person({"order": 7})
    id_ = (await acme.get("/v1/me")).json()["tenant"]
    before = rows_by_tenant(database)
    assert problem(await parties.platform.delete("/v1/tenants/acme")) == (409, "tenant-active")
    await change(parties, "POST", "/v1/tenants/acme/suspend", {"reason": "they left"})
    evidence = (await change(parties, "DELETE", "/v1/tenants/acme")).json()
    assert evidence["runs"] == 1
    assert evidence["rows"]["runs"] == 1
    assert evidence["rows"]["events"] >= 3
    after = rows_by_tenant(database)
    assert id_ not in after
    kept = {tenant: rows for tenant, rows in before.items() if tenant != id_}
    for tenant, rows in kept.items():
        assert {name: count for name, count in after[tenant].items() if name != "audit_log"} == {
            name: count for name, count in rows.items() if name != "audit_log"
        }
    assert (await acme.get("/v1/me")).status_code == 401
    assert (await parties.platform.get("/v1/tenants/acme")).status_code == 404
    with psycopg.connect(database.admin_url) as connection:
        [told] = connection.execute("select details from holdfast.audit_log where action = 'tenant.deleted'").fetchall()
    assert evidence["heads_sha256"] in told[0]


async def test_a_deletion_that_was_interrupted_goes_on(parties, database):
    acme = await parties.tenant("acme")
    await start(acme)
    await change(parties, "POST", "/v1/tenants/acme/suspend", {"reason": "they left"})
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.tenants set state = 'deleting' where name = 'acme'")
    assert (await acme.get("/v1/me")).status_code == 401, "nobody gets into half a tenant"
    assert problem(await parties.platform.post("/v1/tenants/acme/resume")) == (404, "not-found")
    assert (await change(parties, "DELETE", "/v1/tenants/acme")).json()["rows"]["runs"] == 1


async def test_the_evidence_of_a_deletion_that_was_interrupted_is_of_all_that_there_was(parties, database, holder):
    """The process died when rows were gone already."""
    acme = await parties.tenant("acme")
    for _ in range(3):
        await start(acme)
    id_ = UUID((await acme.get("/v1/me")).json()["tenant"])
    await change(parties, "POST", "/v1/tenants/acme/suspend", {"reason": "they left"})
    before = rows_by_tenant(database)[str(id_)]
    async with Database.open(database.api_url, role="api") as db:
        assert await tenants.doom_tenant(db, id_, by="platform:me") == "deleting"
        await tenants.keep_evidence(db, id_)
        assert await db.value("delete_rows", {"tenant": id_, "limit": 2}, tenant=id_) > 0
    evidence = (await change(parties, "DELETE", "/v1/tenants/acme")).json()
    assert evidence["runs"] == 3
    assert evidence["heads_sha256"] != hashlib.sha256().hexdigest()
    assert evidence["rows"] == before | {"audit_log": before["audit_log"] + 1}, "and the note that it began"


async def test_the_tenant_that_commands_act_in_by_default_stays(parties):
    await change(parties, "POST", "/v1/tenants/default/suspend", {"reason": "x"})
    assert problem(await parties.platform.delete("/v1/tenants/default")) == (422, "invalid-input")
    await change(parties, "POST", "/v1/tenants/default/resume")


async def test_a_tenant_that_is_being_brought_in_is_listed_as_such(parties, database):
    await parties.tenant("acme")
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.tenants set state = 'importing' where name = 'acme'")
    listed = (await parties.platform.get("/v1/tenants")).json()["items"]
    assert {one["name"]: one["state"] for one in listed}["acme"] == "importing"
    shown = await change(parties, "PUT", "/v1/tenants/acme/quotas", {"runs": 3})
    assert (shown.json()["state"], shown.json()["quotas"]["runs"]) == ("importing", 3)


async def test_the_platform_itself_is_not_suspended_and_what_is_absent_is_said(parties):
    answer = await parties.platform.post("/v1/tenants/platform/suspend", json={"reason": "x"})
    assert problem(answer) == (422, "invalid-input")
    assert problem(await parties.platform.post("/v1/tenants/acme/suspend", json={"reason": "x"})) == (404, "not-found")
    await parties.tenant("acme")
    assert problem(await parties.platform.post("/v1/tenants/acme/suspend", json={"reason": " "})) == (
        422,
        "invalid-input",
    )
    assert problem(await parties.platform.put("/v1/tenants/acme/quotas", json={"cats": 1})) == (422, "invalid-request")
    assert problem(await parties.platform.delete(f"/v1/tenants/{uuid4()}")) == (404, "not-found")


def rows_by_tenant(database) -> dict[str, dict[str, int]]:
    """How many rows each tenant has in each table."""
    found: dict[str, dict[str, int]] = {}
    with psycopg.connect(database.admin_url) as connection:
        tables = connection.execute(
            "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'"
            " where c.relnamespace = 'holdfast'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
        ).fetchall()
        for (name,) in tables:
            for tenant, count in connection.execute(f"select tenant::text, count(*) from holdfast.{name} group by 1"):
                found.setdefault(tenant, {})[name] = count
    return found
