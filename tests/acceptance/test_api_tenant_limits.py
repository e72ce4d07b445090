"""The limits of a tenant through the interface: set, read, refused, told, carried along."""

import httpx2
import pytest

from support.parties import gathered


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


async def put(client: httpx2.AsyncClient, limits: object) -> httpx2.Response:
    return await client.put("/v1/tenant/limits", json={"limits": limits})


async def test_they_are_set_as_a_whole_read_as_written_and_told_in_the_audit_log(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    assert (await acme.get("/v1/tenant/limits")).json() == {"limits": {}}
    given = {"steps": 40, "cost_usd": "5", "wall_clock": "10m", "amount:refunded": "200.5", "calls:pay": 2}
    written = {"steps": 40, "cost_usd": "5.00", "wall_clock": 600, "amount:refunded": "200.5", "calls:pay": 2}
    answer = await put(acme, given)
    assert (answer.status_code, answer.json()) == (200, {"limits": written})
    again = (await acme.get("/v1/tenant/limits")).json()["limits"]
    assert again == written
    assert (await put(acme, again)).json() == {"limits": written}, "what is read can be put"
    assert (await put(acme, {"steps": 30})).json() == {"limits": {"steps": 30}}, "what is left out is gone"
    assert (await bolt.get("/v1/tenant/limits")).json() == {"limits": {}}
    entry = (await acme.get("/v1/audit")).json()["items"][0]
    assert (entry["action"], entry["details"]["limits"]) == ("tenant.limits", {"steps": 30})
    assert entry["details"]["before"]["cost_usd"] == 5_000_000
    assert (await put(acme, {})).json() == {"limits": {}}


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"stepz": 3}, "There is no limit 'stepz'"),
        ({"steps": -1}, "steps is -1"),
        ({"steps": "40"}, "steps is '40'"),
        ({"steps": True}, "steps is True"),
        ({"steps": None}, "steps is None"),
        ({"steps": 2**53}, "give a whole number"),
        ({"cost_usd": "much"}, "cost_usd is 'much'"),
        ({"calls:": 3}, "There is no limit 'calls:'"),
        ({"writes:": 0}, "There is no limit 'writes:'"),
        ({"amount:a\0b": 3}, "NUL"),
        ({f"amount:{'x' * 200}": 3}, "it may have 200"),
        ({f"calls:t{n}": 3 for n in range(65)}, "64 limits at most"),
    ],
)
async def test_what_is_no_limit_is_refused_and_nothing_is_changed(parties, limits, says):
    acme = await parties.tenant("acme")
    await put(acme, {"steps": 9})
    refused = await put(acme, limits)
    assert problem(refused) == (422, "invalid-input")
    assert says in refused.json()["detail"]
    assert (await acme.get("/v1/tenant/limits")).json() == {"limits": {"steps": 9}}


async def test_a_body_that_is_none_is_refused(parties):
    acme = await parties.tenant("acme")
    for body in ({}, {"limits": []}, {"limits": None}, {"steps": 4}, {"limits": {}, "more": 1}, [], 4):
        assert problem(await acme.put("/v1/tenant/limits", json=body)) == (422, "invalid-request"), body


async def test_administrators_set_them_auditors_read_them_and_users_do_neither(parties):
    acme = await parties.tenant("acme")
    await put(acme, {"steps": 9})
    for role, read in (("user", 403), ("approver", 403), ("operator", 403), ("auditor", 200)):
        _, client = await parties.person(acme, role, role)
        assert (await client.get("/v1/tenant/limits")).status_code == read, role
        refused = await put(client, {})
        assert problem(refused) == (403, "missing-scope"), role
        assert "'tenant:write'" in refused.json()["detail"]
    assert (await acme.get("/v1/tenant/limits")).json() == {"limits": {"steps": 9}}


async def test_the_platform_sets_them_too_and_the_tenants_own_may_set_others(parties):
    acme = await parties.tenant("acme")
    await put(acme, {"calls:pay": 2})
    answer = await parties.platform.put("/v1/tenants/acme/limits", json={"limits": {"cost_usd": "2.50"}})
    assert (answer.status_code, answer.json()) == (200, {"limits": {"cost_usd": "2.50"}})
    assert (await acme.get("/v1/tenant/limits")).json() == {"limits": {"cost_usd": "2.50"}}
    entry = (await acme.get("/v1/audit")).json()["items"][0]
    assert (entry["action"], entry["actor"].partition(":")[0]) == ("tenant.limits", "platform")
    assert entry["details"] == {"limits": {"cost_usd": 2_500_000}, "before": {"calls:pay": 2}}
    assert (await put(acme, {"steps": 3})).json() == {"limits": {"steps": 3}}
    seen = (await parties.platform.get("/v1/tenants/acme")).json()
    assert "limits" not in seen, "the names of a tenant's tools are its own"
    assert problem(await acme.put("/v1/tenants/acme/limits", json={"limits": {}})) == (403, "missing-scope")
    nowhere = await parties.platform.put("/v1/tenants/nowhere/limits", json={"limits": {}})
    assert problem(nowhere) == (404, "not-found")
    wrong = await parties.platform.put("/v1/tenants/acme/limits", json={"limits": {"stepz": 1}})
    assert problem(wrong) == (422, "invalid-input")


async def test_a_run_that_asks_for_more_is_accepted(parties):
    acme = await parties.tenant("acme")
    await put(acme, {"steps": 3})
    answer = await acme.post("/v1/tasks/support/runs", json={"input": "x", "limits": {"steps": 50}})
    assert answer.status_code == 202
