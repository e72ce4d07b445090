"""Everything of a tenant, out of one installation and into an empty other: complete, and readable there only."""

import asyncio
import hashlib
from collections import Counter
from uuid import UUID, uuid4

import httpx2
import orjson
import psycopg
import pytest

from holdfast.domain.errors import InvalidInput, KeyUnavailable, NameTaken
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.service.exports import EXPORTS_MOST
from holdfast.service.get_run import get_run
from holdfast.service.import_tenant import import_tenant
from holdfast.service.manage_tenants import delete_tenant, resume_tenant
from holdfast.service.services import Services
from holdfast.store.budgets import get_time_zone
from holdfast.store.ceilings import get_ceilings
from holdfast.store.hints import Hints
from holdfast.store.pool import Database
from holdfast.store.reader import RunReader
from holdfast.store.vault import Vault, WrappingKey
from support.api_serving import serving
from support.credentials import admin
from support.exporting import EXPORT, EXPORT_KEY, exporting, fill, snapshots
from support.parties import gathered

PLATFORM = Who(PLATFORM_TENANT, "pat", rights_of([Role.PLATFORM]))


@pytest.fixture
async def exported(api, database, holder):
    """The lines of a tenant with runs in several states, and a client of it."""
    async with gathered(api, database.api_url) as parties:
        acme, _ = await parties.tenant("acme"), await parties.tenant("bolt")
        _, ann = await parties.person(acme, "Ann", "user")
        for given in ("one", "two", "three"):
            body = {"input": f"secret {given} \u2028 \U0001f600", "labels": {"k": "v"}}
            await ann.post("/v1/tasks/support/runs", json=body, headers={"Idempotency-Key": given})
        day = {"scope": "tenant", "amount": "5.00", "unit": "usd", "per": "day"}
        budget = (await acme.put("/v1/budgets", json=day)).json()["id"]
        await acme.post(f"/v1/budgets/{budget}/raise", json={"more": 1, "reason": "x"})
        await acme.put("/v1/tenant/time-zone", json={"time_zone": "Asia/Kathmandu"})
        await acme.put("/v1/tenant/limits", json={"limits": {"steps": 400, "cost_usd": "7.25"}})
        await (await holder.claim()).succeed({"answer": 42})
        waiting = await holder.claim()
        await waiting.claimed()
        await waiting.ask_person({"order": 7})
        answer = await acme.post("/v1/tenant/export", json={"key": EXPORT_KEY})
        assert answer.status_code == 200, answer.text
        yield answer.content.splitlines(keepends=True), acme


@pytest.fixture
async def elsewhere(other_database):
    """An empty installation with a wrapping key of its own."""
    async with Database.open(other_database.api_url, role="api") as db, Hints(db) as hints:
        yield Services(db=db, vault=Vault(db, WrappingKey.generate()), reader=RunReader(db), hints=hints)


def key() -> WrappingKey:
    return WrappingKey.from_text(EXPORT_KEY, source="test")


async def test_it_is_complete_and_can_be_read_there(exported, elsewhere, database, other_database):
    lines, _ = exported
    view = await import_tenant(elsewhere, PLATFORM, lines, key())
    assert (view.name, view.state) == ("acme", "suspended")
    tenant = str(view.id)
    here, there = rows_of(database.admin_url, tenant), rows_of(other_database.admin_url, tenant)
    assert here.keys() | {"halts"} == there.keys(), "it is suspended there"
    assert {"budgets", "budget_windows"} <= there.keys()
    assert await get_time_zone(elsewhere.db, view.id) == "Asia/Kathmandu"
    assert await get_ceilings(elsewhere.db, view.id) == {"steps": 400, "cost_usd": 7_250_000}
    for table in here.keys() - {"subject_keys", "audit_log"}:
        changed = ("state", "waiting_on", "updated_at", "worker")
        assert without(here[table], *changed) == without(there[table], *changed), table
    assert {row["subject"] for row in here["subject_keys"]} == {row["subject"] for row in there["subject_keys"]}
    assert all(entry in there["audit_log"] for entry in here["audit_log"])
    assert [row["state"] for row in sorted(there["runs"], key=lambda row: row["id"])] == [
        "succeeded",
        "parked",
        "parked",
    ]

    [done] = [row["id"] for row in there["runs"] if row["state"] == "succeeded"]
    output = (await get_run(elsewhere, admin(view.id), done)).output
    assert output is not None
    assert output.value == {"answer": 42}
    assert (await resume_tenant(elsewhere, PLATFORM, "acme")).state == "active"


async def test_days_that_begin_where_nobody_knows_are_refused(exported, elsewhere):
    lines, _ = exported
    head = orjson.loads(lines[0])
    head["tenant"]["time_zone"] = "Mars/Olympus"
    with pytest.raises(InvalidInput, match="Mars/Olympus"):
        await import_tenant(elsewhere, PLATFORM, [orjson.dumps(head) + b"\n", *lines[1:]], key())


async def test_limits_that_are_none_are_refused(exported, elsewhere):
    lines, _ = exported
    for wrong in ({"stepz": 4}, {"steps": "4"}, [], None):
        head = orjson.loads(lines[0])
        head["tenant"]["ceilings"] = wrong
        with pytest.raises(InvalidInput, match="The tenant's limits cannot be kept here"):
            await import_tenant(elsewhere, PLATFORM, [orjson.dumps(head) + b"\n", *lines[1:]], key())
    del head["tenant"]["ceilings"]
    with pytest.raises(InvalidInput, match="incomplete"):
        await import_tenant(elsewhere, PLATFORM, [orjson.dumps(head) + b"\n", *lines[1:]], key())


async def test_without_its_key_it_tells_nothing_and_damaged_it_is_refused(exported, elsewhere):
    lines, _ = exported
    assert b"secret" not in b"".join(lines)
    with pytest.raises(InvalidInput, match="export key"):
        await import_tenant(elsewhere, PLATFORM, lines, WrappingKey.generate())
    with pytest.raises(InvalidInput, match="no export"):
        await import_tenant(elsewhere, PLATFORM, lines[1:], key())
    with pytest.raises(InvalidInput, match="incomplete"):
        await import_tenant(elsewhere, PLATFORM, [*lines[:-2], lines[-1]], key())
    with pytest.raises(NameTaken):
        await import_tenant(elsewhere, PLATFORM, lines, key())


def damages(lines, tenant):
    """Lines as they cannot be, each with the number of the one it stands in place of and what is said of it."""
    runs = [n for n, line in enumerate(lines) if orjson.loads(line).get("table") == "runs"]
    keys = next(n for n, line in enumerate(lines) if orjson.loads(line).get("table") == "subject_keys")
    run, key_row = (orjson.loads(lines[n])["row"] for n in (runs[1], keys))
    other = {"tenant": str(uuid4())}
    for value, why in (
        ([], "not a JSON object"),
        ({"row": run}, "does not say of which `table`"),
        ({"table": ["runs"], "row": run}, "does not say of which `table`"),
        ({"table": "runs"}, "has no `row`"),
        ({"table": "runs", "row": [run]}, "has no `row`"),
        ({"table": "runs", "row": run | other}, "not of this tenant"),
        ({"table": "cats", "row": run}, "There is no table"),
        ({"table": "ru\0ns", "row": run}, "NUL"),
        ({"table": "runs", "row": {"tenant": tenant}}, "not-null constraint"),
        ({"table": "runs", "row": run | {"state": "dancing"}}, "check constraint"),
        ({"table": "runs", "row": run | {"seq": "many"}}, "invalid input syntax"),
        ({"table": "runs", "row": run | {"id": orjson.loads(lines[runs[0]])["row"]["id"]}}, "duplicate key"),
    ):
        yield runs[1], orjson.dumps(value), why
    yield runs[1], lines[runs[1]].replace(b'"priority":0', b'"priority":' + b"9" * 30), "64-bit"
    yield runs[1], lines[runs[1]][: len(lines[runs[1]]) // 2], "not a JSON object"
    yield keys, orjson.dumps({"table": "subject_keys", "row": key_row | {"wrapped": "\\xyz"}}), "is no key"
    yield keys, orjson.dumps({"table": "subject_keys", "row": key_row | {"wrapped": 7}}), "is no key"
    yield keys, orjson.dumps({"table": "subject_keys", "row": key_row | {"subject": None}}), "whose key"


async def test_a_line_that_cannot_be_is_named_and_what_was_imported_can_be_deleted(exported, elsewhere):
    lines, _ = exported
    tenant = orjson.loads(lines[0])["tenant"]["id"]
    for at, line, why in damages(lines, tenant):
        with pytest.raises(InvalidInput) as refused:
            await import_tenant(elsewhere, PLATFORM, [*lines[:at], line + b"\n", *lines[at + 1 :]], key())
        said = str(refused.value)
        assert said.startswith(f"Line {at + 1} of the export is damaged: "), said
        assert why in said
        assert "`holdfast tenants delete acme` removes it" in said
        assert (await delete_tenant(elsewhere, PLATFORM, "acme")).name == "acme"
    assert (await import_tenant(elsewhere, PLATFORM, lines, key())).state == "suspended"


async def test_a_head_that_cannot_be_is_said_and_leaves_nothing(exported, elsewhere):
    lines, _ = exported
    head = orjson.loads(lines[0])
    wrong = [{"id": "7"}, {"name": "Acme!"}, {"created_at": "yesterday"}, {"created_at": "2026-01-01T00:00:00"}]
    for tenant in [*(head["tenant"] | one for one in wrong), {}, None, "acme"]:
        with pytest.raises(InvalidInput, match=r"Line 1 of the export is damaged: .* Nothing was imported\."):
            await import_tenant(elsewhere, PLATFORM, [orjson.dumps(head | {"tenant": tenant}), *lines[1:]], key())
    for first in ([], [b"cats\n"], [b"{}\n"]):
        with pytest.raises(InvalidInput):
            await import_tenant(elsewhere, PLATFORM, first, key())
    assert (await import_tenant(elsewhere, PLATFORM, lines, key())).state == "suspended"


def ended_anew(lines):
    """These lines with an end that fits them: its digest has no key, so that anybody can write it."""
    rows = Counter(orjson.loads(line)["table"] for line in lines[1:-1])
    end = {"rows": rows, "sha256": hashlib.sha256(b"".join(lines[:-1])).hexdigest()}
    return [*lines[:-1], orjson.dumps({"end": end}) + b"\n"]


def changed(line, **columns):
    found = orjson.loads(line)
    return orjson.dumps(found | {"row": found["row"] | columns}) + b"\n"


async def test_a_run_whose_journal_was_changed_is_named(exported, elsewhere):
    lines, _ = exported
    rows = [orjson.loads(line).get("row", {}) for line in lines]
    of_table = [orjson.loads(line).get("table") for line in lines]
    at = {table: [n for n, found in enumerate(of_table) if found == table] for table in ("events", "runs")}
    of_run = max(at["runs"], key=lambda n: rows[n]["seq"])
    run = rows[of_run]["id"]
    own = sorted((n for n in at["events"] if rows[n]["run"] == run), key=lambda n: rows[n]["seq"])
    middle, last = own[1], own[-1]
    unheard_of = changed(lines[middle], run=str(UUID(int=7)))
    for place, put, why in (
        (middle, [changed(lines[middle], body=rows[middle]["body"] + " ")], "at event 2: the stored hash"),
        (middle, [changed(lines[middle], at="2026-01-01T00:00:00+00:00")], "at event 2: the stored hash"),
        (middle, [], "at event 2: expected event 2, found event 3"),
        (last, [], "it does not end where the run's own row says"),
        (of_run, [changed(lines[of_run], head="\\x" + "00" * 32)], "it does not end where the run's own row says"),
        (middle, [lines[middle], unheard_of], "1 of its events belong to no run of it"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await import_tenant(elsewhere, PLATFORM, ended_anew([*lines[:place], *put, *lines[place + 1 :]]), key())
        said = str(refused.value)
        assert said.startswith("The export was changed: "), said
        assert why in said
        assert (f"the journal of run {run} does not verify" in said) is ("belong" not in why)
        assert "`holdfast tenants delete acme` removes it" in said
        await delete_tenant(elsewhere, PLATFORM, "acme")
    backwards = [lines[n] for n in reversed(at["events"])]
    shuffled = [*lines[: at["events"][0]], *backwards, *lines[at["events"][-1] + 1 :]]
    assert (await import_tenant(elsewhere, PLATFORM, ended_anew(shuffled), key())).state == "suspended"


async def test_an_end_that_says_nothing_is_refused(exported, elsewhere):
    lines, _ = exported
    for end in (5, {}, {"rows": {}}, None):
        with pytest.raises(InvalidInput, match="incomplete or was changed"):
            await import_tenant(elsewhere, PLATFORM, [*lines[:-1], orjson.dumps({"end": end})], key())
        await delete_tenant(elsewhere, PLATFORM, "acme")


async def test_a_subjects_key_that_was_changed_is_refused(exported, elsewhere):
    lines, _ = exported
    at, row = next(
        (n, found) for n, line in enumerate(lines) if (found := orjson.loads(line)).get("table") == "subject_keys"
    )
    row["row"]["subject"] = "somebody else"
    with pytest.raises(KeyUnavailable):
        await import_tenant(elsewhere, PLATFORM, [*lines[:at], orjson.dumps(row) + b"\n", *lines[at + 1 :]], key())


async def test_who_may_not_export_gets_nothing_and_a_bad_key_is_said(exported, api):
    _, acme = exported
    bad = await acme.post("/v1/tenant/export", json={"key": "short"})
    assert (bad.status_code, bad.json()["type"]) == (422, "/problems/invalid-input")
    narrow = (await acme.post("/v1/keys", json={"scopes": ["tenant:read"]})).json()["secret"]
    async with httpx2.AsyncClient(base_url=api, headers={"Authorization": f"Bearer {narrow}"}) as client:
        assert (await client.get("/v1/tenant")).json()["name"] == "acme"
        assert (await client.post("/v1/tenant/export", json={"key": EXPORT_KEY})).status_code == 403


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


async def big(parties, database, name):
    """A tenant whose export is not sent unless it is read."""
    client = await parties.tenant(name)
    fill(database, (await client.get("/v1/tenant")).json()["id"])
    return client


async def begun(client):
    """An export that was taken at last, of a client whose last one has just been let go."""
    async with asyncio.timeout(60):
        while (answer := await client.post(EXPORT[0], json=EXPORT[1])).status_code != 200:
            await asyncio.sleep(0.05)
    return answer.content.splitlines()


async def test_a_tenant_is_exported_once_at_a_time(parties, database):
    acme = await big(parties, database, "acme")
    async with exporting(acme) as slow:
        assert slow.status == 200
        refused = await acme.post(EXPORT[0], json=EXPORT[1])
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/export-under-way")
        noted = [entry["action"] for entry in (await acme.get("/v1/audit")).json()["items"]]
        assert noted.count("tenant.exported") == 1, "what was refused is no export"
        assert b'{"end":' in await slow.rest()
    assert (await begun(acme))[-1].startswith(b'{"end":'), "one that has ended keeps none from being begun"


async def test_exports_that_are_not_read_keep_nobody_else_waiting(parties, database):
    slow = [await big(parties, database, f"slow{n}") for n in range(EXPORTS_MOST)]
    bolt = await parties.tenant("bolt")
    async with exporting(slow[0]), exporting(slow[1]), exporting(slow[2]):
        async with exporting(slow[3]):
            assert snapshots(database) == EXPORTS_MOST
            refused = await bolt.post(EXPORT[0], json=EXPORT[1])
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/exports-busy")
            assert int(refused.headers["retry-after"]) > 0
            answers = await asyncio.gather(*(bolt.get("/v1/runs") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
        assert (await begun(bolt))[-1].startswith(b'{"end":'), "a reader that goes makes room"
    assert (await begun(slow[0]))[-1].startswith(b'{"end":')


async def test_an_export_that_is_not_taken_is_broken_off(database):
    async with (
        serving(database.api_url, export_idle_s=0.3) as url,
        gathered(url, database.api_url) as parties,
    ):
        acme = await big(parties, database, "acme")
        async with exporting(acme) as slow:
            assert slow.status == 200
            async with asyncio.timeout(60):
                while snapshots(database):
                    await asyncio.sleep(0.05)
            assert (await begun(acme))[-1].startswith(b'{"end":')
            rest = await slow.rest()
        assert b'{"end":' not in rest
        assert not rest.endswith(b"0\r\n\r\n"), "HTTP says as well that it is not complete"


async def test_an_export_that_cannot_be_begun_is_a_problem(client, database):
    with psycopg.connect(database.server.url("admin", "postgres"), autocommit=True) as connection:
        there = "select count(*) from pg_stat_activity where datname = %s and usename = 'holdfast_api'"
        [most] = connection.execute(there, [database.name]).fetchone()
        try:
            connection.execute(f"alter database {database.name} connection limit {most}")
            answer = await client.post(EXPORT[0], json=EXPORT[1])
        finally:
            connection.execute(f"alter database {database.name} connection limit -1")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["retry-after"]
    assert (await begun(client))[-1].startswith(b'{"end":')


def rows_of(admin_url, tenant):
    """Every row of a tenant by table, read past all policies."""
    found = {}
    with psycopg.connect(admin_url, row_factory=psycopg.rows.dict_row) as connection:
        tables = connection.execute(
            "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'"
            " where c.relnamespace = 'holdfast'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
        ).fetchall()
        for table in (row["relname"] for row in tables):
            rows = connection.execute(f"select * from holdfast.{table} where tenant = %s", [tenant]).fetchall()
            if rows:
                found[table] = sorted(rows, key=str)
    return found


def without(rows, *columns):
    return sorted(({name: value for name, value in row.items() if name not in columns} for row in rows), key=str)
