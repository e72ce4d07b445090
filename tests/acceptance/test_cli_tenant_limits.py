"""`holdfast tenants limits ...` as people and scripts meet it, and a run that reaches one."""

import pytest

from support.cli import APP, Cli


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def limits(cli, *arguments):
    return cli("tenants", "limits", *arguments)


def test_they_are_set_one_by_one_shown_and_taken_away(cli):
    assert limits(cli, "show").out == "No limits: each run may do what its task and its request allow.\n"
    assert limits(cli, "set", "steps=40", "cost_usd=5", "wall_clock=10m").code == 0
    told = limits(cli, "set", "amount:refunded=200.50", "steps=30")
    assert told.out.splitlines() == limits(cli, "show").out.splitlines()
    assert sorted(told.out.splitlines()) == [
        "amount:refunded: at most 200.5 'refunded'",
        "cost_usd: at most $5.00 money",
        "steps: at most 30 steps",
        "wall_clock: at most 600 s working time",
    ]
    left = limits(cli, "rm", "cost_usd", "wall_clock", "--json").json()
    assert left == {"limits": {"steps": 30, "amount:refunded": "200.5"}}
    assert limits(cli, "rm", "steps", "amount:refunded").out.startswith("No limits")
    log = cli("audit", "ls", "--json").json()["items"]
    assert [entry["action"] for entry in log] == ["tenant.limits"] * 4


def test_they_are_those_of_the_tenant_that_is_named(cli):
    cli("tenants", "create", "acme")
    assert cli("--tenant", "acme", "tenants", "limits", "set", "steps=4").code == 0
    assert limits(cli, "show", "--json").json() == {"limits": {}}
    assert cli("--tenant", "acme", "tenants", "limits", "show", "--json").json() == {"limits": {"steps": 4}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set",), "Missing argument"),
        (("set", "steps"), "is not NAME=NUMBER"),
        (("set", "stepz=4"), "There is no limit 'stepz'"),
        (("set", "steps=many"), "steps is 'many'"),
        (("set", "steps=-1"), "steps is '-1'"),
        (("set", "cost_usd=0.0000001"), "to a millionth at most"),
        (("set", *(f"calls:t{n}=1" for n in range(65))), "64 limits at most"),
        (("rm", "steps"), "The tenant has no limit 'steps'. It has: none."),
    ],
)
def test_what_is_none_is_told_and_nothing_is_changed(cli, arguments, says):
    ended = limits(cli, *arguments)
    assert (ended.code, says in ended.err) == (2, True), ended
    assert "Traceback" not in ended.err
    assert limits(cli, "show", "--json").json() == {"limits": {}}


def test_more_and_more_of_them_come_to_an_end(cli):
    assert limits(cli, "set", *(f"calls:t{n}=1" for n in range(60))).code == 0
    ended = limits(cli, "set", *(f"calls:u{n}=1" for n in range(5)))
    assert (ended.code, "64 limits at most, and these would be 65" in ended.err) == (2, True)


def test_who_may_not_is_told_which_scope_is_missing(cli):
    cli("principals", "invite", "Ann")
    ended = cli("--principal", "Ann", "tenants", "limits", "set", "steps=4")
    assert (ended.code, "'tenant:write'" in ended.err) == (8, True)


def test_reached_it_says_whose_and_raised_the_run_goes_on_without_more_ado(cli):
    limits(cli, "set", "model_requests=0")
    waits = cli("run", APP, "echo", "x", "--limit", "model_requests=9")
    assert waits.code == 7
    said = "The tenant's limit on model requests is reached: 0 of 0, and a request to 'function:_echo:' comes next."
    assert said in waits.err
    assert "`holdfast tenants limits set model_requests=NUMBER`" in waits.err
    [task] = cli("approvals", "ls", "--json").json()["items"]
    assert f"holdfast approvals decide {task['id']} --go-on | --finish" in waits.err, "there is nothing to raise here"
    decide = ("approvals", "decide", task["id"], "--go-on")
    refused = cli(*decide)
    assert (refused.code, "tenant's limit on model requests is 0, and the next step needs 1" in refused.err) == (
        2,
        True,
    )
    above = cli(*decide, "--limit", "model_requests=5")
    assert (above.code, "5 is above the tenant's limit on model requests, which is 0" in above.err) == (2, True)
    assert "limits: model requests 0 of 0 (the tenant's)" in cli("runs", "show", task["run"]).out
    limits(cli, "set", "model_requests=1")
    assert cli(*decide).code == 0
    assert cli("run", APP, "--resume", task["run"]).out == "You said x\n"
    story = cli("runs", "show", task["run"]).out
    assert "reached its tenant's limit on model requests: goes on" in story
    assert "limits: model requests 1 of 9" in story, "of a run that has ended its own are told"
