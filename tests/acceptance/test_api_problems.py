"""Whatever a caller does wrong is answered with a problem document, and stores nothing."""

import asyncio
import json
import re
from uuid import UUID, uuid4

import psycopg
import pytest

from holdfast.api.catalogue import CATALOGUE
from holdfast.api.routes import tasks
from support.api_serving import MAX_BODY_BYTES

JSON = {"Content-Type": "application/json"}
TABLES = ("runs", "events", "blobs", "signals", "idempotency_keys", "sessions", "subject_keys")


def stored(database) -> dict[str, int]:
    with psycopg.connect(database.admin_url) as connection:
        return {table: connection.execute(f"select count(*) from holdfast.{table}").fetchone()[0] for table in TABLES}


def check(answer, status: int, slug: str) -> dict:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, f"/problems/{slug}"), problem
    assert problem["title"] == CATALOGUE[slug].title
    assert problem["detail"]
    assert problem["instance"] == answer.request.url.path
    return problem


def body(value) -> dict:
    return {"content": json.dumps(value), "headers": JSON}


BAD_REQUESTS = [
    ("/v1/tasks/suport/runs", body({"input": "x"}), 404, "unknown-task", "Registered: order, support"),
    ("/v1/tasks/%00/runs", body({"input": "x"}), 404, "unknown-task", ""),
    ("/v1/tasks/support/runs", body({"input": 7}), 422, "invalid-input", "support"),
    ("/v1/tasks/order/runs", body({"input": {"item": "tea"}}), 422, "invalid-input", "count"),
    ("/v1/tasks/support/runs", body({}), 422, "invalid-request", "body.input"),
    ("/v1/tasks/support/runs", body([]), 422, "invalid-request", ""),
    ("/v1/tasks/support/runs", body({"input": "x", "sesion": "y"}), 422, "invalid-request", "body.sesion"),
    ("/v1/tasks/support/runs", body({"input": "x", "session": "y"}), 422, "invalid-request", "body.session"),
    ("/v1/tasks/support/runs", body({"input": "x", "priority": 101}), 422, "invalid-request", "body.priority"),
    ("/v1/tasks/support/runs", body({"input": "x", "priority": True}), 422, "invalid-request", "body.priority"),
    ("/v1/tasks/support/runs", body({"input": "x", "labels": {"a": 1}}), 422, "invalid-request", "labels"),
    ("/v1/tasks/support/runs", {"content": b'{"input": ', "headers": JSON}, 400, "malformed-json", "line 1"),
    ("/v1/tasks/support/runs", {"content": b'{"input": "\xff"}', "headers": JSON}, 400, "malformed-json", "UTF-8"),
    ("/v1/tasks/support/runs", {"content": b'{"input": NaN}', "headers": JSON}, 400, "malformed-json", "NaN"),
    ("/v1/tasks/support/runs", {"content": b'{"input": 1e999}', "headers": JSON}, 400, "malformed-json", "large"),
    ("/v1/tasks/support/runs", {"content": b"[" * 9999, "headers": JSON}, 400, "malformed-json", "deep"),
    ("/v1/tasks/support/runs", {"content": b"", "headers": JSON}, 400, "malformed-json", ""),
    ("/v1/tasks/support/runs", body({"input": "a\0b"}), 422, "invalid-input", "NUL"),
    ("/v1/tasks/support/runs", body({"input": "a\ud83d"}), 422, "invalid-input", "surrogate"),
    ("/v1/tasks/support/runs", body({"input": "x", "labels": {"\0": "x"}}), 422, "invalid-input", "NUL"),
    ("/v1/tasks/order/runs", body({"input": {"item": "tea", "count": 2**80}}), 422, "invalid-input", "64-bit"),
    (
        "/v1/tasks/support/runs",
        {"content": b'{"input": "x"}', "headers": {"Content-Type": "text/plain"}},
        415,
        "unsupported-media-type",
        "text/plain",
    ),
    ("/v1/tasks/support/runs", {"content": b'{"input": "x"}'}, 415, "unsupported-media-type", "not declared"),
    ("/v1/tasks/support/runs?wait=61", body({"input": "x"}), 422, "invalid-request", "query.wait"),
    ("/v1/tasks/support/runs?wait=nan", body({"input": "x"}), 422, "invalid-request", "query.wait"),
    (
        "/v1/tasks/support/runs",
        {"content": b'{"input": "x"}', "headers": JSON | {"Idempotency-Key": "k" * 256}},
        422,
        "invalid-input",
        "idempotency key",
    ),
    ("/v1/tasks/support/run", body({"input": "x"}), 404, "no-such-route", ""),
    ("/v1/tasks", body({}), 405, "method-not-allowed", "POST"),
]


async def test_bad_requests_are_problems_and_store_nothing(client, database):
    before = stored(database)
    for path, sent, status, slug, says in BAD_REQUESTS:
        problem = check(await client.post(path, **sent), status, slug)
        assert says in problem["detail"], problem
        assert stored(database) == before, (path, sent)


async def test_bad_queries_of_lists_are_problems(client):
    check(await client.get("/v1/runs?cursor=x"), 400, "invalid-cursor")
    for place in ("limit=0", "limit=x", "state=asleep", "session=x", "task=%00"):
        check(await client.get(f"/v1/runs?{place}"), 422, "invalid-request")


async def test_a_wrong_method_names_the_right_ones(client):
    answer = await client.request("DELETE", "/v1/tasks")
    check(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


async def test_an_oversize_body_is_refused_while_it_is_read(client, database):
    before = stored(database)
    whole = json.dumps({"input": "x" * MAX_BODY_BYTES})
    check(await client.post("/v1/tasks/support/runs", content=whole, headers=JSON), 413, "too-large")
    assert stored(database) == before


def header(bearer: dict[str, str]) -> bytes:
    """As it is written on a socket."""
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in bearer.items())


@pytest.mark.parametrize("known", [True, False])
async def test_an_endless_body_without_a_length_is_refused(api, database, bearer, known):
    """The client never stops sending: an answer can only come from a server that stopped reading."""
    host, port = api.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/tasks/support/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        + (header(bearer) if known else b"")
        + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    sent = 0
    async with asyncio.timeout(60):
        while not answer.done():
            writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
            sent += 0x1000
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)
        assert (await answer).startswith(b"HTTP/1.1 413 " if known else b"HTTP/1.1 401 ")
    writer.close()
    assert sent < 100 * MAX_BODY_BYTES


async def test_a_length_that_lies_is_no_way_around_the_limit(api, bearer):
    host, port = api.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/tasks/support/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        + header(bearer)
        + b"Content-Length: 10\r\n\r\n"
        + b"x" * (2 * MAX_BODY_BYTES)
    )
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_malformed_id_and_an_absent_one_are_answered_alike(client):
    message, decision = {"message": "x"}, {"verdict": "approved", "digest": "d"}
    for method, path, sent in (
        ("GET", "/v1/runs/{}", None),
        ("GET", "/v1/runs/{}/events", None),
        ("POST", "/v1/runs/{}/cancel", None),
        ("POST", "/v1/runs/{}/messages", message),
        ("GET", "/v1/approvals/{}", None),
        ("POST", "/v1/approvals/{}/decision", decision),
    ):
        details = set()
        for id_ in (uuid4(), UUID(int=0), "nonsense", "%00", f"{{{uuid4()}}}", "x" * 5000):
            answer = await client.request(method, path.format(id_), **({"json": sent} if sent else {}))
            details.add(check(answer, 404, "not-found")["detail"])
        assert len(details) == 1


async def test_each_type_leads_to_a_page_that_explains_it(client):
    for slug, kind in CATALOGUE.items():
        explained = await client.get(f"/problems/{slug}", headers={"Accept": "application/json"})
        assert (explained.status_code, explained.json()["what_to_do"]) == (200, kind.what_to_do)
    page = await client.get("/problems/unknown-task", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "Unknown task" in page.text
    assert len((await client.get("/problems")).json()) == len(CATALOGUE)
    check(await client.get("/problems/none"), 404, "not-found")


async def test_every_error_of_the_domain_is_catalogued():
    import holdfast.api.application  # noqa: F401 - all of the interface is loaded
    from holdfast.domain.errors import RequestError

    def below(cls):
        return [cls, *(found for one in cls.__subclasses__() for found in below(one))]

    for error in below(RequestError):
        assert CATALOGUE[error.slug].status == error.status, error


async def test_openapi_names_every_route_answer_and_problem(client):
    document = (await client.get("/openapi.json")).json()
    assert {f"{method} {path}" for path, methods in document["paths"].items() for method in methods} == {
        "get /v1/tasks",
        "post /v1/tasks/{task}/runs",
        "get /v1/runs",
        "get /v1/runs/{run}",
        "get /v1/runs/{run}/events",
        "post /v1/runs/{run}/cancel",
        "post /v1/runs/{run}/messages",
        "get /v1/approvals",
        "get /v1/approvals/{approval}",
        "post /v1/approvals/{approval}/decision",
        "post /v1/approvals/{approval}/links",
        "get /v1/costs",
        "get /v1/budgets",
        "put /v1/budgets",
        "get /v1/budgets/alerts",
        "get /v1/budgets/reservations",
        "post /v1/budgets/reservations/settle",
        "get /v1/budgets/{budget}",
        "delete /v1/budgets/{budget}",
        "post /v1/budgets/{budget}/raise",
        "get /v1/tenant/time-zone",
        "put /v1/tenant/time-zone",
        "get /v1/tenant/limits",
        "put /v1/tenant/limits",
        "get /v1/halts",
        "post /v1/halts",
        "get /v1/halts/{halt}",
        "post /v1/halts/{halt}/lift",
        "get /v1/me",
        "get /v1/principals",
        "post /v1/principals",
        "get /v1/principals/{principal}",
        "put /v1/principals/{principal}/roles/{role}",
        "delete /v1/principals/{principal}/roles/{role}",
        "post /v1/principals/{principal}/disable",
        "post /v1/principals/{principal}/enable",
        "get /v1/keys",
        "post /v1/keys",
        "delete /v1/keys/{key}",
        "post /v1/keys/{key}/rotate",
        "get /v1/sessions",
        "post /v1/sessions",
        "get /v1/sessions/{session}",
        "delete /v1/sessions/{session}",
        "get /v1/sessions/{session}/invalidations",
        "post /v1/sessions/{session}/invalidations",
        "post /v1/sessions/{session}/invalidations/{invalidation}/lift",
        "get /v1/tenants",
        "post /v1/tenants",
        "get /v1/tenants/{name}",
        "delete /v1/tenants/{name}",
        "post /v1/tenants/{name}/suspend",
        "post /v1/tenants/{name}/resume",
        "put /v1/tenants/{name}/quotas",
        "put /v1/tenants/{name}/limits",
        "get /v1/audit",
        "get /v1/tenant",
        "post /v1/tenant/export",
        "get /healthz",
        "get /readyz",
    }
    for path, methods in document["paths"].items():
        for route in methods.values():
            for status, answer in route["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
                    assert answer["content"]["application/problem+json"]["examples"], (path, status)
                    assert "schema" in answer["content"]["application/problem+json"], (path, status)
            assert ("security" in route) == path.startswith("/v1/"), path
            if "requestBody" in route:
                content = route["requestBody"]["content"]["application/json"]
                assert content["schema"]["examples"], path


async def test_a_database_that_is_away_is_a_503_that_says_when_to_try_again(client, database):
    with psycopg.connect(database.server.url("admin", "postgres"), autocommit=True) as admin:
        admin.execute(f"alter database {database.name} with allow_connections false")
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name])
        try:
            answer = await client.get("/v1/runs")
            alive = await client.get("/healthz")
        finally:
            admin.execute(f"alter database {database.name} with allow_connections true")
    check(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert database.name not in answer.text, "what an operator reads is not for callers"
    assert alive.status_code == 200


async def test_a_session_that_retention_took_a_part_of_is_a_problem(client, holder, database):
    session = str(uuid4())
    ask = {"input": "x", "session": session}
    first = (await client.post("/v1/tasks/support/runs", json=ask)).json()["id"]
    await (await holder.claim()).succeed("done")
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("delete from holdfast.events where run = %s", [first])
    before = stored(database)
    problem = check(await client.post("/v1/tasks/support/runs", json=ask), 410, "session-history-gone")
    assert first in problem["detail"]
    assert session in problem["detail"]
    assert stored(database) == before
    assert (await client.post("/v1/tasks/support/runs", json={"input": "x", "session": str(uuid4())})).is_success


async def test_no_answer_may_be_kept_on_the_way(client):
    """Of every route, whatever it answers: a cache between would give it to the next who asks, of whatever tenant."""
    document = (await client.get("/openapi.json")).json()
    asked = [(method, path) for path, methods in document["paths"].items() for method in methods]
    answers = [await client.request(method, re.sub("{.*?}", "nothing", path)) for method, path in asked]
    answers += [
        await client.get("/v1/runs", headers={"Authorization": "Bearer no"}),
        await client.get("/v1/nothing"),
        await client.put("/v1/runs"),
        await client.get("/links/nothing"),
    ]
    assert {answer.status_code for answer in answers} >= {200, 201, 401, 404, 405, 422}
    assert [str(answer.url) for answer in answers if answer.headers.get("cache-control") != "no-store"] == []


async def test_a_fault_of_ours_is_a_problem_that_is_not_kept_either(client, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(tasks, "list_tasks", fail)
    answer = await client.get("/v1/tasks")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
    assert answer.headers["cache-control"] == "no-store"
