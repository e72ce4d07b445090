"""`holdfast runs` and `holdfast approvals`: seeing, following, stopping, deciding."""

import json

import pytest

from support.cli import APP, Cli


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def test_a_run_is_listed_told_and_followed(cli):
    run = cli("run", APP, "break", "x", "--json").out
    run = json.loads(run)["id"]
    cli("run", APP, "echo", "hello", "--detach")
    listed = cli("runs", "ls", "--task", "break", "--state", "failed", "--json").json()["items"]
    assert [one["id"] for one in listed] == [run]
    assert cli("runs", "ls").out.count(" queued ") == 1
    assert cli("runs", "ls", "--state", "stuck").code == 2

    story = cli("runs", "show", run).out
    assert "called fail" in story
    assert "the printer is on fire" in story
    assert "1 model requests, 1 tool calls" in story
    steps = cli("runs", "show", run, "--json").json()["steps"]
    assert [step["kind"] for step in steps] == ["accepted", "model", "tool", "end"]
    assert all(step["duration_ms"] is not None for step in steps)

    tail = cli("runs", "tail", run, "--json")
    items = [json.loads(line) for line in tail.out.splitlines()]
    assert tail.code == 1, "the run failed"
    assert (items[0]["type"], items[-1]["type"]) == ("run_accepted", "run_failed")
    assert {item["item"] for item in items} == {"event"}
    later = cli("runs", "tail", run, "--json", "--after", items[1]["id"]).out.splitlines()
    assert [json.loads(line)["id"] for line in later] == [item["id"] for item in items[2:]]


def test_pages_follow_one_another(cli):
    runs = [cli("run", APP, "echo", "x", "--detach").out.strip() for _ in range(3)]
    first = cli("runs", "ls", "--limit", "2", "--json").json()
    second = cli("runs", "ls", "--limit", "2", "--after", first["next"], "--json").json()
    assert [one["id"] for one in first["items"] + second["items"]] == runs[::-1]
    assert second["next"] is None


def test_a_run_is_told_something_and_stopped(cli):
    run = cli("run", APP, "echo", "hello", "--detach").out.strip()
    assert cli("runs", "message", run, "and goodbye", "--key", "m1").code == 0
    assert cli("runs", "message", run, "something else", "--key", "m1").code == 6
    assert cli("runs", "cancel", run, "--reason", "a mistake", "--json").json()["cancelling"] is True
    resumed = cli("run", APP, "--resume", run)
    assert (resumed.code, resumed.out) == (1, "")
    assert "cancelled" in resumed.err
    assert "a mistake" in cli("runs", "show", run).out
    assert cli("runs", "message", run, "too late").code == 6


def test_what_does_not_exist_ends_with_5_and_json_errors_are_objects(cli):
    nobody = "01900000-0000-7000-8000-000000000000"
    for command in (["runs", "show"], ["runs", "cancel"], ["runs", "tail"], ["approvals", "show"]):
        ended = cli(*command, nobody, "--json")
        told = json.loads(ended.err)
        assert (ended.code, ended.out, told["exit_code"], told["error"]) == (5, "", 5, "NotFound")
    assert cli("runs", "show", "last").code == 5
    assert cli("runs", "show", "not-an-id").code == 5


def test_an_approval_is_shown_edited_and_decided_once(cli):
    waits = cli("run", APP, "pay", "x")
    assert waits.code == 7, waits.err
    task = cli("approvals", "ls", "--json").json()["items"][0]["id"]
    shown = cli("approvals", "show", task)
    assert '"amount": 5' in shown.out
    digest = cli("approvals", "show", task, "--json").json()["digest"]
    assert digest in shown.out

    assert cli("approvals", "decide", task).code == 2, "one of the decisions has to be named"
    assert cli("approvals", "decide", task, "--approve", "--reject").code == 2
    assert cli("approvals", "decide", task, "--reject", "--args", "{}").code == 2
    assert cli("approvals", "decide", task, "--approve", "--args", "[5]").code == 2
    assert cli("approvals", "decide", task, "--approve", "--digest", "00").code == 6
    decided = cli("approvals", "decide", task, "--approve", "--args", '{"amount": 3}', "--digest", digest)
    assert decided.code == 0, decided.err
    assert cli("approvals", "decide", task, "--approve").code == 6, "it is decided"

    assert cli("approvals", "ls").out.strip() == "Nothing waits for a decision."
    assert [one["state"] for one in cli("approvals", "ls", "--all", "--json").json()["items"]] == ["approved"]
    assert cli("run", APP, "--resume", "last").out == "It says: paid 3\n"


def test_a_rejection_is_told_to_the_model_with_its_reason(cli):
    waits = cli("run", APP, "pay", "x")
    assert waits.code == 7, waits.err
    task = cli("approvals", "ls", "--json").json()["items"][0]["id"]
    cli("approvals", "decide", task, "--reject", "--reason", "too dear")
    assert cli("run", APP, "--resume", "last").out == "It says: too dear\n"
