"""Requests for people, keys and tenants that come again, since their answer was lost: nothing is made twice."""

import asyncio
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest

from support.parties import gathered


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


async def post(client, path, body, key="k") -> httpx2.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


async def names(client) -> list[str]:
    return [one["name"] for one in (await client.get("/v1/principals")).json()["items"]]


async def key_ids(client) -> set[str]:
    return {one["id"] for one in (await client.get("/v1/keys")).json()["items"]}


async def test_a_principal_is_made_once(parties):
    acme = await parties.tenant("acme")
    ann = {"name": "Ann", "roles": ["user", "approver"], "email": "ann@example.com"}
    first, again = [await post(acme, "/v1/principals", ann) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    for other in ({"name": "Ann"}, {**ann, "email": None}, {**ann, "roles": ["user"]}, {"name": "Ben"}):
        assert problem(await post(acme, "/v1/principals", other)) == (409, "idempotency-key-reused")
    assert await names(acme) == ["Ada", "Ann"]
    assert problem(await post(acme, "/v1/principals", ann, "another")) == (409, "name-taken")


async def test_a_key_is_made_once_and_its_secret_is_told_once(parties):
    acme = await parties.tenant("acme")
    body = {"name": "ci", "scopes": ["runs:read", "keys:read"]}
    first, again = [(await post(acme, "/v1/keys", body)).json() for _ in range(2)]
    assert first["secret"].startswith("hf_")
    assert again == first | {"secret": None}
    assert problem(await post(acme, "/v1/keys", {"name": "ci"})) == (409, "idempotency-key-reused")
    assert len(await key_ids(acme)) == 2
    assert (await (await parties.using(first["secret"])).get("/v1/keys")).status_code == 200


async def test_a_key_is_rotated_once(parties):
    """Also where the one it replaces has ended by then."""
    acme = await parties.tenant("acme")
    old = (await acme.post("/v1/keys", json={"name": "ci"})).json()["id"]
    path = f"/v1/keys/{old}/rotate"
    first, again = [(await post(acme, path, {"overlap_s": 0})).json() for _ in range(2)]
    assert (first["name"], again) == ("ci", first | {"secret": None})
    assert problem(await post(acme, path, {"overlap_s": 1})) == (409, "idempotency-key-reused")
    ending = {"overlap_s": 0, "expires_at": "2999-01-01T00:00:00Z"}
    assert problem(await post(acme, path, ending)) == (409, "idempotency-key-reused")
    assert problem(await post(acme, path, {"overlap_s": 0}, "another")) == (422, "invalid-input")
    assert await key_ids(acme) >= {old, first["id"]}
    assert len(await key_ids(acme)) == 3


async def test_a_tenant_is_made_once_and_nothing_of_it_is_told_again(parties):
    body = {"name": "acme", "admin": "Ada"}
    first, again = [(await post(parties.platform, "/v1/tenants", body)).json() for _ in range(2)]
    assert first["admin"]["name"] == "Ada"
    assert again == first | {"admin": None, "key": None}
    for other in ({"name": "bolt"}, {"name": "acme", "admin": "Eve"}):
        assert problem(await post(parties.platform, "/v1/tenants", other)) == (409, "idempotency-key-reused")
    acme = await parties.using(first["key"]["secret"])
    assert await names(acme) == ["Ada"]
    await parties.platform.post("/v1/tenants/acme/suspend", json={"reason": "they left"})
    await parties.platform.delete("/v1/tenants/acme")
    assert problem(await post(parties.platform, "/v1/tenants", body)) == (404, "not-found")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/principals", {"name": "Ann"}), ("/v1/keys", {"name": "k"}), ("/v1/tenants", {"name": "acme"})],
)
async def test_of_several_at_once_one_makes_it_and_all_are_told_of_that(parties, path, body):
    who = parties.platform if path == "/v1/tenants" else await parties.tenant("home")
    answers = await asyncio.gather(*(post(who, path, body) for _ in range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.json()["id"] for answer in answers}) == 1
    if path != "/v1/principals":
        secrets = [answer.json()["secret"] if path == "/v1/keys" else answer.json()["key"] for answer in answers]
        assert len([secret for secret in secrets if secret is not None]) == 1


async def test_a_key_is_its_principals_own_and_names_one_use(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    _, bea = await parties.person(acme, "Bea", "admin")
    made = [await post(one, "/v1/keys", {"name": name}) for one, name in ((acme, "a"), (bea, "b"), (bolt, "c"))]
    assert [answer.status_code for answer in made] == [201] * 3
    assert len({answer.json()["id"] for answer in made}) == 3
    assert (await post(acme, "/v1/principals", {"name": "Ann"})).status_code == 201


async def test_what_was_refused_may_come_again(parties):
    acme = await parties.tenant("acme")
    await parties.platform.put("/v1/tenants/acme/quotas", json={"principals": 1})
    assert problem(await post(acme, "/v1/principals", {"name": "Ann"})) == (409, "quota-exceeded")
    await parties.platform.put("/v1/tenants/acme/quotas", json={})
    assert (await post(acme, "/v1/principals", {"name": "Ann"})).status_code == 201
    assert problem(await post(acme, "/v1/keys", {"principal": str(uuid4())})) == (404, "not-found")
    assert (await post(acme, "/v1/keys", {"name": "k"})).status_code == 201
    assert problem(await post(parties.platform, "/v1/tenants", {"name": "acme"})) == (409, "name-taken")
    assert (await post(parties.platform, "/v1/tenants", {"name": "bolt"})).status_code == 201


@pytest.mark.parametrize("key", ["", "é", "k" * 256])
async def test_a_key_that_could_not_be_told_apart_is_refused(parties, key):
    acme = await parties.tenant("acme")
    answer = await acme.post("/v1/keys", json={}, headers={"Idempotency-Key": key.encode()})
    assert problem(answer) == (422, "invalid-input")


async def test_what_is_kept_of_a_request_shows_nobody(parties, database):
    """An address can be guessed: the digest of a request that named one is keyed."""
    acme = await parties.tenant("acme")
    await post(acme, "/v1/principals", {"name": "Ann", "email": "ann@example.com"})
    other = await parties.tenant("bolt")
    await post(other, "/v1/principals", {"name": "Ann", "email": "ann@example.com"})
    with psycopg.connect(database.admin_url) as connection:
        kept = connection.execute("select request from holdfast.idempotency_keys").fetchall()
    assert len(kept) == 2
    assert kept[0] != kept[1], "the same request of two people"


async def test_a_tenant_whose_administrator_cannot_be_made_is_not_made(parties):
    for admin in ("", " ", "x" * 101):
        answer = await parties.platform.post("/v1/tenants", json={"name": "acme", "admin": admin})
        assert problem(answer) == (422, "invalid-input")
    assert [one["name"] for one in (await parties.platform.get("/v1/tenants")).json()["items"]] == [
        "default",
        "platform",
    ]
    assert (await parties.platform.post("/v1/tenants", json={"name": "acme"})).status_code == 201


async def test_a_key_narrowed_by_a_newer_release_is_not_rotated_by_this_one(parties, database):
    acme = await parties.tenant("acme")
    made = (await acme.post("/v1/keys", json={"scopes": ["runs:read"]})).json()
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(
            "update holdfast.api_keys set scopes = '{runs:read,moon:land}' where id = %s", [UUID(made["id"])]
        )
    answer = await acme.post(f"/v1/keys/{made['id']}/rotate")
    assert problem(answer) == (409, "unknown-scope")
    assert "moon:land" in answer.json()["detail"]
    assert (await (await parties.using(made["secret"])).get("/v1/runs")).status_code == 200, "the old one is as it was"
