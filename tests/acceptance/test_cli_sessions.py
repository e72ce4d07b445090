"""`holdfast sessions`: seeing conversations, withdrawing of them, deleting them."""

from uuid import uuid4

import pytest

from support.cli import APP, Cli


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def test_a_session_is_listed_shown_withdrawn_of_and_deleted(cli):
    session = str(uuid4())
    run = cli("run", APP, "echo", "the price is 10", "--session", session, "--json").json()["id"]
    [listed] = cli("sessions", "ls", "--json").json()["items"]
    assert (listed["id"], listed["last_run"]) == (session, run)
    assert "local" in cli("sessions", "ls").out

    shown = cli("sessions", "show", session).out
    assert f"{run} 1 request" in shown
    assert "user-prompt: the price is 10" in shown
    page = cli("sessions", "show", session, "--limit", "1", "--json").json()
    rest = cli("sessions", "show", session, "--after", page["next"], "--json").json()
    assert [one["place"] for one in page["messages"] + rest["messages"]] == [1, 2]

    mark = ("sessions", "invalidate", session, "--reason", "last year's")
    made = cli(*mark, "--run", run, "--from", "1", "--json").json()
    assert (made["first"], made["last"]) == (1, 1)
    assert f"not given any more: last year's ({made['id']})" in cli("sessions", "show", session).out
    assert "given again" in cli("sessions", "lift", session, made["id"], "--reason", "this year's").out
    assert "not given any more" not in cli("sessions", "show", session).out
    assert cli(*mark, "--message", page["messages"][0]["ref"]).code == 0

    assert cli("sessions", "delete", session).code == 0
    assert cli("sessions", "delete", session).code == 0
    assert cli("sessions", "show", session).code == 6
    assert cli("sessions", "ls", "--json").json()["items"] == []
    assert "the price" not in cli("runs", "show", run).out
    log = [entry["action"] for entry in cli("audit", "ls", "--json").json()["items"][::-1]]
    assert log == [
        "session.invalidated",
        "session.invalidation_lifted",
        "session.invalidated",
        "session.deleted",
    ]


def test_what_does_not_fit_is_said(cli):
    session = str(uuid4())
    run = cli("run", APP, "echo", "x", "--session", session, "--json").json()["id"]
    mark = ("sessions", "invalidate", session, "--reason")
    for arguments, code, said in (
        (("sessions", "show", str(uuid4())), 5, "no session"),
        ((*mark, "x"), 2, "--message"),
        ((*mark, "x", "--run", run), 2, "--message"),
        ((*mark, "x", "--run", run, "--from", "3"), 2, "no span from 3 to 3"),
        ((*mark, " ", "--run", run, "--from", "1"), 2, "reason is empty"),
        (("sessions", "lift", session, str(uuid4()), "--reason", "x"), 5, "no invalidation"),
    ):
        ended = cli(*arguments)
        assert (ended.code, said in " ".join(ended.err.split())) == (code, True), (arguments, ended.err)
