"""The boundary of tasks, as people meet it: shown, reached, raised, and what they say of a run in trouble."""

import pytest

from support.cli import APP, Cli


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def test_reached_it_says_which_where_it_stood_and_how_to_raise_it(cli):
    waits = cli("run", APP, "echo", "x", "--limit", "model_requests=0", "--limit", "steps=9")
    assert (waits.code, waits.out) == (7, "")
    said = "The limit on model requests is reached: 0 of 0, and a request to 'function:_echo:' comes next."
    assert said in waits.err
    [task] = cli("approvals", "ls", "--json").json()["items"]
    assert f"holdfast approvals decide {task['id']} --go-on --limit model_requests=NUMBER" in waits.err
    shown = cli("approvals", "show", task["id"])
    assert "The run cannot go on by itself. What becomes of it?" in shown.out
    assert said in shown.out
    low = cli("approvals", "decide", task["id"], "--go-on", "--limit", "model_requests=0")
    assert low.code == 2
    assert "0 is not enough: the next step needs 1." in low.err
    assert cli("approvals", "decide", task["id"], "--go-on", "--limit", "model_requests=1").code == 0
    assert cli("run", APP, "--resume", task["run"]).out == "You said x\n"
    story = cli("runs", "show", task["run"])
    assert "reached its limit on model requests: goes on" in story.out
    assert "limits: model requests 1 of 1, steps 1 of 9" in story.out


def test_a_run_that_would_fail_is_ended_with_an_output(cli):
    waits = cli("run", APP, "print", "x")
    assert waits.code == 7
    assert "tray 2 is empty" in waits.err
    [task] = cli("approvals", "ls", "--json").json()["items"]
    assert (task["kind"], task["ask"]) == ("escalation", "admin")
    assert cli("approvals", "decide", task["id"], "--approve").code == 2
    assert cli("approvals", "decide", task["id"], "--finish", '"printed by hand"').code == 0
    ended = cli("run", APP, "--resume", task["run"])
    assert (ended.code, ended.out) == (0, "printed by hand\n")


def test_a_run_that_would_fail_is_failed_by_a_person(cli):
    assert cli("run", APP, "print", "x").code == 7
    [task] = cli("approvals", "ls", "--json").json()["items"]
    assert cli("approvals", "decide", task["id"], "--fail", "--reason", "no paper").code == 0
    ended = cli("run", APP, "--resume", task["run"])
    assert ended.code == 1
    assert "no paper" in ended.err


def test_limits_that_there_are_not_are_refused_and_nothing_is_stored(cli):
    for wrong in ("stepz=3", "steps", "steps=many"):
        ended = cli("run", APP, "echo", "x", "--limit", wrong)
        assert ended.code == 2, ended.err
        assert "Traceback" not in ended.err
    assert cli("runs", "ls", "--json").json()["items"] == []


def test_boundaries_are_shown(cli):
    shown = cli("tasks", APP, "print").out
    assert "fails at once on: KeyError" in shown
    assert "in trouble (doubt, failure, limit, loop): goes to admin" in shown
    assert "a loop (the same call 5 times in a row, the same error 5 times in a row, " in shown
    assert "at most 1 model requests" in cli("tasks", APP, "few").out
    listed = cli("tasks", APP, "--json").json()
    assert {one["name"]: one["limits"] for one in listed}["few"] == {"model_requests": 1, "tokens": 100_000}
    assert cli("tasks", APP, "nothing").code != 0


async def test_the_api_shows_boundaries_and_takes_limits(client):
    [order, _] = (await client.get("/v1/tasks")).json()
    assert (order["limits"], order["on_limit"], order["escalation"]) == ({}, "park", None)
    assert order["output_schema"] == {"type": "string"}
    answer = await client.post(
        "/v1/tasks/support/runs", json={"input": "x", "limits": {"steps": 5, "wall_clock": "2m"}}
    )
    assert answer.status_code == 202
    first, *_ = (
        await client.get(f"/v1/runs/{answer.json()['id']}/events", headers={"Accept": "application/json"})
    ).json()["items"]
    assert first["data"]["limits"] == {"steps": 5, "wall_clock": 120}
    wrong = await client.post("/v1/tasks/support/runs", json={"input": "x", "limits": {"stepz": 5}})
    assert (wrong.status_code, wrong.json()["type"]) == (422, "/problems/invalid-input")
    assert "There is no limit 'stepz'" in wrong.json()["detail"]
