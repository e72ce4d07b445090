"""Budgets over HTTP: who may, what is answered, and that a raise lets go on what waits."""

from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from holdfast.domain import events as ev
from holdfast.store.journal import Spending
from support.parties import gathered

DAY = {"scope": "tenant", "amount": "1.00", "unit": "usd", "per": "day"}
ROLES = {"user": (403, 403), "service": (403, 403), "approver": (200, 403), "operator": (200, 403),
         "auditor": (200, 403), "admin": (200, 201)}  # fmt: skip


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


def problem(answer):
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def row(what, step="#1", attempt=1, *, usd=0, tokens=0):
    return Spending(what=what, step=step, attempt=attempt, usd=usd, tokens=tokens, requests=1)


async def held(client, holder, usd, step="#1"):
    """A run at work that holds so much, in millionths."""
    run = (await client.post("/v1/tasks/support/runs", json={"input": "hi"})).json()["id"]
    found = await holder.claim()
    await found.claimed()
    asked = ev.ModelRequested(scope="", step=1, attempt=1, model="gpt", messages=ev.Messages(), streamed=False)
    await found.append(asked, rows=[row("reserve", step, usd=usd, tokens=500)])
    return run, found


async def test_a_budget_is_set_seen_changed_and_ended(parties):
    acme = await parties.tenant("acme")
    made = await acme.put("/v1/budgets", json=DAY)
    assert made.status_code == 201
    budget = made.json()
    assert made.headers["location"] == f"/v1/budgets/{budget['id']}"
    assert (budget["called"], budget["amount"], budget["created_by"]) == ("tenant/day/usd", "1.00", "Ada")
    [window] = budget["windows"]
    assert (window["spent"], window["held"], window["left"], window["most"]) == ("0.00", "0.00", "1.00", "1.00")
    assert window["since"] < window["until"]
    again = await acme.put("/v1/budgets", json={**DAY, "amount": 2})
    assert (again.status_code, again.json()["id"], again.json()["amount"]) == (200, budget["id"], "2.00")
    given = {"scope": "user", "key": "*", "amount": 9, "unit": "tokens", "per": "run"}
    each = (await acme.put("/v1/budgets", json=given)).json()
    assert (each["called"], each["windows"]) == ("user:*/run/tokens", [])
    first = (await acme.get("/v1/budgets?limit=1")).json()
    assert ([one["id"] for one in first["items"]], first["time_zone"]) == ([each["id"]], "UTC")
    rest = (await acme.get(f"/v1/budgets?cursor={first['next']}")).json()
    assert ([one["id"] for one in rest["items"]], rest["next"]) == ([budget["id"]], None)
    for _ in range(2):
        ended = await acme.delete(f"/v1/budgets/{budget['id']}")
        assert (ended.status_code, ended.json()["ended_at"] is None) == (200, False)
    assert [one["id"] for one in (await acme.get("/v1/budgets")).json()["items"]] == [each["id"]]
    assert len((await acme.get("/v1/budgets?ended=true")).json()["items"]) == 2
    raising = await acme.post(f"/v1/budgets/{budget['id']}/raise", json={"more": 1, "reason": "x"})
    assert problem(raising) == (404, "not-found")
    log = [entry["action"] for entry in (await acme.get("/v1/audit")).json()["items"]]
    assert log[:4] == ["budget.ended", "budget.set", "budget.set", "budget.set"]


async def test_what_is_held_is_shown_with_who_holds_it_and_what_exceeded_it_explained(parties, holder):
    acme = await parties.tenant("acme")
    id_ = (await acme.put("/v1/budgets", json=DAY)).json()["id"]
    run, at_work = await held(acme, holder, 400_000)
    report = (await acme.get(f"/v1/budgets/{id_}")).json()
    [holding] = report["holdings"]
    assert {name: holding[name] for name in ("run", "step", "amount", "estimated", "run_state", "task")} == {
        "run": run, "step": "#1", "amount": "0.40", "estimated": False, "run_state": "running", "task": "support",
    }  # fmt: skip
    assert (report["windows"][0]["held"], report["windows"][0]["left"]) == ("0.40", "0.60")
    await at_work.append(ev.CancelRequested(by="me"), rows=[row("settle", usd=900_000)])
    await at_work.append(ev.CancelRequested(by="me"), rows=[row("spend", "tool", 0, usd=10_000)])
    report = (await acme.get(f"/v1/budgets/{id_}")).json()
    assert report["holdings"] == []
    assert report["windows"][0]["spent"] == "0.91"
    assert (report["windows"][0]["overruns"], report["windows"][0]["overran"]) == (2, "0.51")
    unreserved, over = report["overruns"]
    assert (over["reserved"], over["used"], over["over"], over["run"]) == ("0.40", "0.90", "0.50", run)
    assert "its bound was $0.40" in over["why"]
    assert "nothing was reserved" in unreserved["why"]
    assert {one["what"] for one in report["alerts"]} == {"half", "most"}
    alerts = (await acme.get("/v1/budgets/alerts?limit=1")).json()
    assert alerts["items"][0]["called"] == "tenant/day/usd"
    assert len((await acme.get(f"/v1/budgets/alerts?cursor={alerts['next']}")).json()["items"]) == 1


async def test_a_raise_is_of_one_owner_counts_once_by_its_key_and_lets_go_on_what_waits(parties, database):
    acme = await parties.tenant("acme")
    ann, _ = await parties.person(acme, "Ann", "user")
    id_ = (await acme.put("/v1/budgets", json={**DAY, "scope": "user", "key": "*"})).json()["id"]
    path, given = f"/v1/budgets/{id_}/raise", {"more": "0.50", "owner": ann, "reason": "a large order"}
    run = (await acme.post("/v1/tasks/support/runs", json={"input": "hi"})).json()["id"]
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("update holdfast.runs set state = 'parked', waiting_on = 'budget' where id = %s", [run])
    for _ in range(2):
        raised = await acme.post(path, json=given, headers={"Idempotency-Key": "one"})
        assert raised.status_code == 200, raised.text
        [window] = raised.json()["all_windows"]
        assert (window["owner"], window["owner_name"], window["most"], window["extra"]) == (ann, "Ann", "1.50", "0.50")
    assert (await acme.get(f"/v1/runs/{run}")).json()["state"] == "queued"
    other = await acme.post(path, json={**given, "more": 9}, headers={"Idempotency-Key": "one"})
    assert problem(other) == (409, "idempotency-key-reused")
    assert (await acme.post(path, json=given)).json()["all_windows"][0]["most"] == "2.00"
    for wrong, expected in (
        ({**given, "owner": ""}, (422, "invalid-input")),
        ({**given, "owner": str(uuid4())}, (404, "not-found")),
        ({**given, "more": 0}, (422, "invalid-input")),
        ({**given, "more": "1e9999999"}, (422, "invalid-input")),
        ({**given, "reason": " "}, (422, "invalid-input")),
        ({**given, "more": True}, (422, "invalid-request")),
    ):
        assert problem(await acme.post(path, json=wrong)) == expected, wrong
    reasons = [entry["details"].get("reason") for entry in (await acme.get("/v1/audit")).json()["items"]]
    assert reasons.count("a large order") == 2


async def test_what_a_dead_worker_left_is_listed_and_settled_by_better_knowledge(parties, holder, database):
    acme = await parties.tenant("acme")
    id_ = (await acme.put("/v1/budgets", json=DAY)).json()["id"]
    tokens = (await acme.put("/v1/budgets", json={**DAY, "amount": 9000, "unit": "tokens"})).json()["id"]
    run, _ = await held(acme, holder, 400_000)
    assert (await acme.get("/v1/budgets/reservations")).json() == {"items": [], "next": None, "wrong": []}
    known = {"run": run, "step": "#1", "attempt": 1, "usd": "0.10", "tokens": 70, "reason": "the provider's bill"}
    settle = "/v1/budgets/reservations/settle"
    assert problem(await acme.post(settle, json=known)) == (409, "under-way")
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("update holdfast.runs set state = 'queued', worker = null where id = %s", [run])
    [left] = (await acme.get("/v1/budgets/reservations")).json()["items"]
    assert (left["run"], left["estimated"], left["run_state"]) == (run, False, "queued")
    assert ("tenant/day/usd", "0.40") in {(one["called"], one["amount"]) for one in left["amounts"]}
    for wrong in ({"usd": None, "tokens": None}, {"usd": "-1"}, {"tokens": "1.5"}, {"reason": ""}):
        assert problem(await acme.post(settle, json={**known, **wrong})) == (422, "invalid-input"), wrong
    assert (await acme.post(settle, json=known)).status_code == 200
    assert problem(await acme.post(settle, json=known)) == (404, "not-found")
    for budget, spent in ((id_, "0.10"), (tokens, "70")):
        [window] = (await acme.get(f"/v1/budgets/{budget}")).json()["windows"]
        assert (window["spent"], Decimal(window["held"])) == (spent, 0)


async def test_a_window_that_is_not_what_is_reserved_of_it_is_told(parties, holder, database):
    acme = await parties.tenant("acme")
    await acme.put("/v1/budgets", json=DAY)
    await held(acme, holder, 400_000)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("update holdfast.budget_windows set held = held - 1")
    [wrong] = (await acme.get("/v1/budgets/reservations")).json()["wrong"]
    assert (wrong["called"], wrong["held"], wrong["reserved"]) == ("tenant/day/usd", "0.399999", "0.40")


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_read_and_who_may_write(parties, role):
    acme = await parties.tenant("acme")
    _, one = await parties.person(acme, "One", role)
    reads, writes = ROLES[role]
    for path in ("/v1/budgets", "/v1/budgets/alerts", "/v1/budgets/reservations", "/v1/tenant/time-zone"):
        assert (await one.get(path)).status_code == reads, path
    assert (await one.put("/v1/budgets", json=DAY)).status_code == writes
    zone = await one.put("/v1/tenant/time-zone", json={"time_zone": "Europe/Berlin"})
    assert zone.status_code == (200 if role == "admin" else 403)


async def test_another_tenants_budget_does_not_exist(parties):
    acme, bolt = await parties.tenant("acme"), await parties.tenant("bolt")
    id_ = (await bolt.put("/v1/budgets", json=DAY)).json()["id"]
    assert (await acme.get("/v1/budgets")).json()["items"] == []
    given = {"more": 1, "reason": "x"}
    for asked, nobody in (
        (acme.get(f"/v1/budgets/{id_}"), acme.get(f"/v1/budgets/{uuid4()}")),
        (acme.delete(f"/v1/budgets/{id_}"), acme.delete("/v1/budgets/nonsense")),
        (acme.post(f"/v1/budgets/{id_}/raise", json=given), acme.post(f"/v1/budgets/{uuid4()}/raise", json=given)),
    ):
        found, absent = await asked, await nobody
        assert problem(found) == problem(absent) == (404, "not-found")
        assert found.json()["detail"] == absent.json()["detail"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"amount": "-1"}, (422, "invalid-input")),
        ({"amount": "1000000000000"}, (422, "invalid-input")),
        ({"amount": "0.0000001"}, (422, "invalid-input")),
        ({"amount": "1.5", "unit": "tokens"}, (422, "invalid-input")),
        ({"amount": True}, (422, "invalid-request")),
        ({"per": "year"}, (422, "invalid-request")),
        ({"scope": "galaxy"}, (422, "invalid-request")),
        ({"key": "x"}, (422, "invalid-input")),
        ({"scope": "task"}, (422, "invalid-input")),
        ({"scope": "user", "key": "Nobody"}, (404, "not-found")),
        ({"scope": "user", "key": str(uuid4())}, (404, "not-found")),
        ({"scope": "session", "key": "today"}, (404, "not-found")),
    ],
)
async def test_what_does_not_fit_is_said(parties, given, expected):
    acme = await parties.tenant("acme")
    assert problem(await acme.put("/v1/budgets", json={**DAY, **given})) == expected


async def test_days_begin_in_the_tenants_zone(parties):
    acme = await parties.tenant("acme")
    assert (await acme.get("/v1/tenant/time-zone")).json() == {"time_zone": "UTC"}
    for zone in ("Mars/Olympus", "", "x" * 100):
        assert problem(await acme.put("/v1/tenant/time-zone", json={"time_zone": zone})) == (422, "invalid-input")
    put = await acme.put("/v1/tenant/time-zone", json={"time_zone": "Asia/Kathmandu"})
    assert put.json() == {"time_zone": "Asia/Kathmandu"}
    [window] = (await acme.put("/v1/budgets", json=DAY)).json()["windows"]
    assert window["since"][11:16] == "18:15"
