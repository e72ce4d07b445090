"""Halts over HTTP and on the command line: who may, what is answered, and that it is idempotent."""

from uuid import uuid4

import pytest

from support.cli import APP, Cli
from support.parties import gathered


@pytest.fixture
async def parties(api, database):
    async with gathered(api, database.api_url) as found:
        yield found


def problem(answer):
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


async def state(client, run):
    view = (await client.get(f"/v1/runs/{run}")).json()
    return view["state"], view["waiting_on"]


async def test_a_halt_is_declared_once_seen_and_lifted_and_what_it_held_goes_on(parties, holder):
    acme = await parties.tenant("acme")
    run = (await acme.post("/v1/tasks/support/runs", json={"input": "hi"})).json()["id"]
    given = {"scope": "task", "key": "support", "reason": "incident 42", "for_s": 3600}
    made = await acme.post("/v1/halts", json=given)
    assert made.status_code == 201
    halt = made.json()
    assert (halt["in_force"], halt["authority"], halt["reason"]) == (True, "admin", "incident 42")
    assert made.headers["location"] == f"/v1/halts/{halt['id']}"
    again = await acme.post("/v1/halts", json=given)
    assert (again.status_code, again.json()["id"]) == (200, halt["id"])
    with pytest.raises(ValueError, match="not enough values"):
        await holder.claim()
    assert await state(acme, run) == ("parked", "halt")
    assert [one["id"] for one in (await acme.get("/v1/halts?in_force=true")).json()["items"]] == [halt["id"]]

    lifted = (await acme.post(f"/v1/halts/{halt['id']}/lift")).json()
    assert (lifted["in_force"], lifted["lifted_by"]) == (False, halt["by"])
    assert (await acme.post(f"/v1/halts/{halt['id']}/lift")).status_code == 200
    assert (await acme.get("/v1/halts?in_force=true")).json()["items"] == []
    assert await state(acme, run) == ("queued", None)
    actions = [entry["action"] for entry in (await acme.get("/v1/audit")).json()["items"]]
    assert actions[:3] == ["halt.lifted", "halt.declared_again", "halt.declared"]


async def test_the_platform_halts_a_tenant_and_everything_and_only_it_lifts_that(parties):
    acme = await parties.tenant("acme")
    made = await parties.platform.post("/v1/halts", json={"scope": "tenant", "key": "acme", "reason": "abuse"})
    assert (made.status_code, made.json()["key"], made.json()["authority"]) == (201, "acme", "platform")
    seen = (await acme.get("/v1/halts")).json()["items"]
    assert [one["reason"] for one in seen] == ["abuse"]
    assert problem(await acme.post(f"/v1/halts/{made.json()['id']}/lift")) == (403, "halt-outranked")
    everything = await parties.platform.post("/v1/halts", json={"scope": "everything", "reason": "fire"})
    assert everything.status_code == 201
    assert (await acme.get("/v1/halts")).json()["items"][0]["by_name"] == "platform"
    for halt in (made, everything):
        assert (await parties.platform.post(f"/v1/halts/{halt.json()['id']}/lift")).status_code == 200
    assert problem(await acme.post("/v1/halts", json={"scope": "everything", "reason": "x"})) == (403, "missing-scope")
    others = {"scope": "tenant", "key": "platform", "reason": "x"}
    assert problem(await acme.post("/v1/halts", json=others)) == (403, "missing-scope")


async def test_what_does_not_fit_is_said(parties):
    acme = await parties.tenant("acme")
    for given, expected in (
        ({"scope": "run", "key": str(uuid4()), "reason": "x"}, (404, "not-found")),
        ({"scope": "user", "key": "Ann", "reason": "x"}, (404, "not-found")),
        ({"scope": "tool", "key": " ", "reason": "x"}, (422, "invalid-input")),
        ({"scope": "task", "key": "t", "reason": " "}, (422, "invalid-input")),
        ({"scope": "galaxy", "reason": "x"}, (422, "invalid-request")),
        ({"scope": "task", "key": "t", "reason": "x", "for_s": 0}, (422, "invalid-request")),
    ):
        assert problem(await acme.post("/v1/halts", json=given)) == expected, given


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def test_the_command_line_halts_shows_and_lifts(cli):
    run = cli("run", APP, "echo", "hi", "--detach", "--json").json()["id"]
    halt = cli("halt", "--run", run, "--reason", "wrong", "--for", "2h", "--wait", "--json").json()
    assert (halt["scope"], halt["settled"], halt["expires_at"] is not None) == ("run", True, True)
    assert f"run {run}" in cli("halt", "ls").out
    told = cli("halt", "show", halt["id"]).out
    for said in ("last new dispatch", "last cancellable call ended", "last effect finished", "settled", "wrong"):
        assert said in told
    assert "ended by" in cli("halt", "lift", halt["id"]).out
    assert cli("halt", "ls", "--json").json()["items"] == []
    assert [one["id"] for one in cli("halt", "ls", "--all", "--json").json()["items"]] == [halt["id"]]

    everything = cli("halt", "--everything", "--reason", "fire", "--json").json()
    assert (everything["scope"], everything["authority"]) == ("everything", "platform")
    assert "everything" in cli("halt", "ls").out
    assert cli("halt", "lift", everything["id"]).code == 0
    for arguments, code in (
        (("halt", "--reason", "x"), 2),
        (("halt", "--task", "a", "--tool", "b", "--reason", "x"), 2),
        (("halt", "--task", "a"), 2),
        (("halt", "--task", "a", "--reason", "x", "--for", "soon"), 2),
        (("halt", "lift", str(uuid4())), 5),
        (("halt", "--user", "Nobody", "--reason", "x"), 5),
    ):
        assert cli(*arguments).code == code, arguments
