"""Who is let in, with what rights, and that tenants never meet: over real HTTP."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from fastapi import FastAPI

from holdfast.api.scopes import require_scopes
from support.parties import gathered


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


async def start(client: httpx2.AsyncClient, given: str = "hello", **more) -> str:
    answer = await client.post("/v1/tasks/support/runs", json={"input": given, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


async def test_two_tenants_see_nothing_of_each_other(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    run = await start(acme)
    for method, path, body in (
        ("GET", "/v1/runs/{}", None),
        ("GET", "/v1/runs/{}/events", None),
        ("POST", "/v1/runs/{}/cancel", None),
        ("POST", "/v1/runs/{}/messages", {"message": "hi"}),
    ):
        foreign = await bolt.request(method, path.format(run), json=body)
        absent = await bolt.request(method, path.format(uuid4()), json=body)
        assert problem(foreign) == problem(absent) == (404, "not-found")
        assert foreign.json()["detail"] == absent.json()["detail"]
        assert {*foreign.headers} == {*absent.headers}
    assert (await bolt.get("/v1/runs")).json()["items"] == []
    assert [one["id"] for one in (await acme.get("/v1/runs")).json()["items"]] == [run]
    assert [one["name"] for one in (await bolt.get("/v1/principals")).json()["items"]] == ["Ada"]


async def test_who_manages_tenants_sees_none_of_their_content(parties):
    acme = await parties.tenant("acme")
    run = await start(acme)
    names = [one["name"] for one in (await parties.platform.get("/v1/tenants")).json()["items"]]
    assert names == ["acme", "default", "platform"]
    assert problem(await parties.platform.get(f"/v1/runs/{run}")) == (403, "missing-scope")
    assert problem(await acme.get("/v1/tenants")) == (403, "missing-scope")
    told = (await acme.get("/v1/audit")).json()["items"]
    assert [entry["action"] for entry in told[::-1]] == ["tenant.created", "principal.created", "key.created"]
    assert {entry["actor"].partition(":")[0] for entry in told} == {"platform"}, "the tenant is told who holds its key"


async def test_a_user_sees_and_steers_their_own_runs_only(parties):
    acme = await parties.tenant("acme")
    _, ann = await parties.person(acme, "Ann", "user")
    _, ben = await parties.person(acme, "Ben", "user")
    _, olga = await parties.person(acme, "Olga", "operator")
    run = await start(ann)
    assert problem(await ben.get(f"/v1/runs/{run}")) == (404, "not-found")
    assert problem(await ben.post(f"/v1/runs/{run}/cancel")) == (404, "not-found")
    assert (await ben.get("/v1/runs")).json()["items"] == []
    assert [one["id"] for one in (await ann.get("/v1/runs")).json()["items"]] == [run]
    assert (await olga.get(f"/v1/runs/{run}")).status_code == 200
    assert problem(await olga.post("/v1/tasks/support/runs", json={"input": "x"})) == (403, "missing-scope")
    assert (await olga.post(f"/v1/runs/{run}/cancel")).status_code == 202


async def test_a_session_is_its_principals_own(parties):
    acme = await parties.tenant("acme")
    _, ann = await parties.person(acme, "Ann", "user")
    session = str(uuid4())
    await start(ann, session=session)
    answer = await acme.post("/v1/tasks/support/runs", json={"input": "x", "session": session})
    assert problem(answer) == (404, "not-found")


async def test_an_idempotency_key_is_its_principals_own(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    _, ann = await parties.person(acme, "Ann", "user")
    answers = [
        await one.post("/v1/tasks/support/runs", json={"input": given}, headers={"Idempotency-Key": "k"})
        for one, given in ((acme, "a"), (ann, "b"), (bolt, "c"))
    ]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.json()["id"] for answer in answers}) == 3


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "Bearer hf_",
        f"Bearer hf_{UUID(int=7).hex}_{'a' * 43}",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer hf_é",
    ],
)
async def test_what_is_no_credential_is_told_nothing(api, sent):
    headers = {} if sent is None else {"Authorization": sent.encode()}
    async with httpx2.AsyncClient(base_url=api, timeout=60, headers=headers) as stranger:
        answers = [
            await stranger.get("/v1/runs"),
            await stranger.get(f"/v1/runs/{uuid4()}"),
            await stranger.get("/v1/runs?limit=nonsense"),
            await stranger.post("/v1/tasks/support/runs", content=b"{"),
        ]
    assert {problem(answer) for answer in answers} == {(401, "unauthenticated")}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_a_credential_that_ended_is_refused_by_the_next_request(parties):
    acme = await parties.tenant("acme")
    id_, ann = await parties.person(acme, "Ann", "user")
    [key] = (await ann.get("/v1/keys")).json()["items"]
    assert key["used_at"] is not None
    assert (await acme.delete(f"/v1/keys/{key['id']}")).json()["revoked_at"] is not None
    assert problem(await ann.get("/v1/runs")) == (401, "unauthenticated")

    other = await parties.using((await acme.post("/v1/keys", json={"principal": id_})).json()["secret"])
    assert (await other.get("/v1/runs")).status_code == 200
    assert (await acme.post(f"/v1/principals/{id_}/disable")).json()["disabled"]
    assert problem(await other.get("/v1/runs")) == (401, "unauthenticated")
    assert not (await acme.post(f"/v1/principals/{id_}/enable")).json()["disabled"]
    assert (await other.get("/v1/runs")).status_code == 200
    assert (await acme.delete(f"/v1/principals/{id_}/roles/user")).json()["roles"] == []
    assert problem(await other.get("/v1/runs")) == (403, "missing-scope")
    refused = [
        entry for entry in (await acme.get("/v1/audit")).json()["items"] if entry["action"] == "credential.refused"
    ]
    assert {entry["details"]["reason"] for entry in refused} == {"revoked", "disabled"}


async def test_a_key_ends_by_itself(parties, database):
    acme = await parties.tenant("acme")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    key = (await acme.post("/v1/keys", json={"expires_at": soon})).json()
    brief = await parties.using(key["secret"])
    assert (await brief.get("/v1/me")).status_code == 200
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.clock set skew = '61 minutes'")
    assert problem(await brief.get("/v1/me")) == (401, "unauthenticated")


async def test_a_rotated_key_and_its_successor_overlap(parties, database):
    acme = await parties.tenant("acme")
    [first] = (await acme.get("/v1/keys")).json()["items"]
    second = (await acme.post(f"/v1/keys/{first['id']}/rotate", json={"overlap_s": 3600})).json()
    successor = await parties.using(second["secret"])
    assert [(await one.get("/v1/me")).status_code for one in (acme, successor)] == [200, 200]
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.clock set skew = '61 minutes'")
    assert [(await one.get("/v1/me")).status_code for one in (acme, successor)] == [401, 200]


async def test_the_successor_of_a_key_that_ends_lives_as_long_as_that_was_made_to(parties, database):
    acme = await parties.tenant("acme")
    day = timedelta(days=1)
    made = (await acme.post("/v1/keys", json={"expires_at": str(datetime.now(UTC) + 90 * day)})).json()
    with psycopg.connect(database.admin_url) as connection:
        shift = "update holdfast.api_keys set created_at = created_at - %s, expires_at = expires_at - %s where id = %s"
        connection.execute(shift, (89 * day, 89 * day, made["id"]))
    path = f"/v1/keys/{made['id']}/rotate"
    now = datetime.now(UTC)
    first = (await acme.post(path, json={"overlap_s": 3600})).json()
    assert abs(datetime.fromisoformat(first["expires_at"]) - now - 90 * day) < timedelta(minutes=1)
    assert first["secret"] is not None
    listed = {key["id"]: key for key in (await acme.get("/v1/keys")).json()["items"]}
    assert abs(datetime.fromisoformat(listed[made["id"]]["expires_at"]) - now) < timedelta(hours=1, minutes=1)
    successor = await parties.using(first["secret"])
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.clock set skew = '89 days'")
    assert (await successor.get("/v1/me")).status_code == 200
    assert problem(await (await parties.using(made["secret"])).get("/v1/me")) == (401, "unauthenticated")
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.clock set skew = '91 days'")
    assert problem(await successor.get("/v1/me")) == (401, "unauthenticated")


async def test_a_rotation_may_say_when_the_successor_ends(parties):
    acme = await parties.tenant("acme")
    soon, late = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, 48))
    endless = (await acme.post("/v1/keys", json={})).json()
    ending = (await acme.post("/v1/keys", json={"expires_at": soon.isoformat()})).json()
    rotated = (await acme.post(f"/v1/keys/{endless['id']}/rotate", json={})).json()
    assert rotated["expires_at"] is None
    for old in (rotated, ending):
        answer = await acme.post(f"/v1/keys/{old['id']}/rotate", json={"expires_at": late.isoformat()})
        assert datetime.fromisoformat(answer.json()["expires_at"]) == late
        path = f"/v1/keys/{answer.json()['id']}/rotate"
        for none in ("2020-01-01T00:00:00Z", "2027-01-01T00:00:00", "9999-12-31T23:59:59-01:00"):
            assert problem(await acme.post(path, json={"expires_at": none})) == (422, "invalid-input"), none
            assert problem(await acme.post("/v1/keys", json={"expires_at": none})) == (422, "invalid-input"), none
    ages = (await acme.post("/v1/keys", json={"expires_at": "9999-12-31T23:59:59.999999Z"})).json()
    assert (await acme.post(f"/v1/keys/{ages['id']}/rotate")).json()["expires_at"] == "9999-12-30T00:00:00Z"


async def test_a_narrowed_key_gains_nothing_by_rotating(parties):
    acme = await parties.tenant("acme")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    wide = (await acme.post("/v1/keys", json={"expires_at": soon})).json()
    other = (await acme.post("/v1/keys", json={"scopes": ["audit:read"], "expires_at": soon})).json()
    narrow = await parties.using((await acme.post("/v1/keys", json={"scopes": ["keys:write"]})).json()["secret"])
    late = {"expires_at": (datetime.now(UTC) + timedelta(days=9)).isoformat()}
    for said in ({}, late):
        successor = (await narrow.post(f"/v1/keys/{wide['id']}/rotate", json=said)).json()
        assert successor["scopes"] == ["keys:write"]
        assert problem(await narrow.post(f"/v1/keys/{other['id']}/rotate", json=said)) == (403, "missing-scope")
    _, ann = await parties.person(acme, "Ann", "user")
    for said in ({}, late):
        assert problem(await ann.post(f"/v1/keys/{wide['id']}/rotate", json=said)) == (404, "not-found")


async def test_a_narrowed_key_may_less_and_makes_none_that_may_more(parties):
    acme = await parties.tenant("acme")
    id_ = (await acme.get("/v1/me")).json()["principal"]["id"]
    made = await acme.post("/v1/keys", json={"scopes": ["runs:read", "keys:write"]})
    narrow = await parties.using(made.json()["secret"])
    assert (await narrow.get("/v1/me")).json()["rights"] == {"keys:write": "tenant", "runs:read": "tenant"}
    refused = await narrow.get("/v1/audit")
    assert problem(refused) == (403, "missing-scope")
    assert "'audit:read'" in refused.json()["detail"]
    assert problem(await narrow.post("/v1/keys", json={"scopes": ["audit:read"]})) == (403, "missing-scope")
    for body in ({}, {"principal": id_}):
        child = await narrow.post("/v1/keys", json=body)
        assert child.json()["scopes"] == ["keys:write", "runs:read"]


async def test_a_user_makes_keys_for_themselves_only(parties):
    acme = await parties.tenant("acme")
    _, ann = await parties.person(acme, "Ann", "user")
    admin = (await acme.get("/v1/me")).json()["principal"]["id"]
    foreign = await ann.post("/v1/keys", json={"principal": admin})
    absent = await ann.post("/v1/keys", json={"principal": str(uuid4())})
    assert problem(foreign) == problem(absent) == (404, "not-found")
    assert foreign.json()["detail"] == absent.json()["detail"]
    own = (await ann.post("/v1/keys", json={})).json()
    [theirs] = [key for key in (await acme.get("/v1/keys")).json()["items"] if key["name"] == "first"]
    assert problem(await ann.delete(f"/v1/keys/{theirs['id']}")) == (404, "not-found")
    assert (await ann.delete(f"/v1/keys/{own['id']}")).status_code == 200
    assert problem(await ann.get("/v1/principals")) == (403, "missing-scope")


async def test_a_service_starts_runs_for_people_with_their_rights(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    ann, her = await parties.person(acme, "Ann", "user")
    olga, _ = await parties.person(acme, "Olga", "operator")
    bob, _ = await parties.person(bolt, "Bob", "user")
    _, service = await parties.person(acme, "desk", "service")
    run = await start(service, on_behalf_of=ann)
    view = (await her.get(f"/v1/runs/{run}")).json()
    assert view["principal"] == ann
    assert view["requested_by"] == (await service.get("/v1/me")).json()["principal"]["id"]
    assert (await service.get(f"/v1/runs/{run}")).status_code == 200
    own = await start(service)
    assert [one["id"] for one in (await service.get("/v1/runs")).json()["items"]] == [own, run]
    assert [one["id"] for one in (await her.get("/v1/runs")).json()["items"]] == [run]

    async def ask(client, whom):
        return problem(await client.post("/v1/tasks/support/runs", json={"input": "x", "on_behalf_of": whom}))

    assert await ask(her, olga) == (403, "missing-scope")
    assert await ask(service, olga) == (403, "missing-role"), "an operator may not start runs, nor may one for them"
    assert await ask(service, bob) == await ask(service, str(uuid4())) == (404, "not-found")
    await acme.post(f"/v1/principals/{ann}/disable")
    assert await ask(service, ann) == (403, "missing-role")


async def test_a_tenant_keeps_an_administrator(parties):
    acme = await parties.tenant("acme")
    id_ = (await acme.get("/v1/me")).json()["principal"]["id"]
    for path in (f"/v1/principals/{id_}/disable", f"/v1/principals/{id_}/roles/admin"):
        method = "POST" if path.endswith("disable") else "DELETE"
        assert problem(await acme.request(method, path)) == (409, "last-admin")
    second, _ = await parties.person(acme, "Bea", "admin")
    assert (await acme.delete(f"/v1/principals/{second}/roles/admin")).status_code == 200


async def test_names_are_taken_once_and_the_platforms_role_stays_there(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    assert problem(await parties.platform.post("/v1/tenants", json={"name": "acme"})) == (409, "name-taken")
    assert problem(await parties.platform.post("/v1/tenants", json={"name": "No Name"})) == (422, "invalid-input")
    await parties.person(acme, "Ann", "user")
    assert problem(await acme.post("/v1/principals", json={"name": "Ann"})) == (409, "name-taken")
    await parties.person(bolt, "Ann", "user")
    assert problem(await acme.post("/v1/principals", json={"name": "Eve", "roles": ["platform"]})) == (
        422,
        "invalid-input",
    )
    ann = (await acme.get("/v1/principals")).json()["items"][1]["id"]
    assert problem(await acme.put(f"/v1/principals/{ann}/roles/platform")) == (422, "invalid-input")
    assert problem(await acme.put(f"/v1/principals/{ann}/roles/king")) == (422, "invalid-input")


async def test_who_guesses_is_told_to_wait_and_a_valid_key_from_there_is_let_in(api, client):
    """Behind one address there may be a whole company."""
    async with httpx2.AsyncClient(base_url=api, timeout=60, headers={"Authorization": "Bearer guess"}) as stranger:
        answers = [await stranger.get("/v1/runs") for _ in range(40)]
        assert (await client.get("/v1/runs")).status_code == 200
        late = await stranger.get("/v1/runs")
    statuses = [answer.status_code for answer in answers]
    assert statuses[:20] == [401] * 20
    assert problem(late) == (429, "too-many-attempts")
    assert int(late.headers["retry-after"]) > 0


def test_a_route_that_declares_no_scope_is_refused_before_anything_is_served():
    api = FastAPI()

    @api.get("/v1/open")
    async def get_open() -> None: ...

    with pytest.raises(AssertionError, match="/v1/open"):
        require_scopes(api)
