"""`holdfast tenants quotas ...`: looking changes nothing, setting one leaves the others alone."""

import pytest

from support.cli import Cli


@pytest.fixture
def cli(database, tmp_path):
    cli = Cli(tmp_path, database)
    assert cli("tenants", "create", "acme").code == 0
    return cli


def quotas(cli, verb, *arguments):
    return cli("tenants", "quotas", verb, "acme", *arguments)


def test_they_are_set_one_by_one_shown_and_taken_away(cli):
    assert quotas(cli, "show").out == "No quotas: tenant acme may have as much as there is room for.\n"
    assert quotas(cli, "set", "--principals", "6", "--runs", "5").code == 0
    told = quotas(cli, "set", "--runs", "1", "--bytes", "0")
    for shown in (told, quotas(cli, "show")):
        assert shown.out.splitlines() == [
            "principals: at most 6 people and services who are not disabled",
            "runs: at most 1 that have not ended",
            "bytes: at most 0 of content, events and messages",
        ]
    view = quotas(cli, "rm", "bytes", "runs", "--json").json()
    assert (view["name"], view["quotas"]) == ("acme", {"principals": 6, "runs": None, "bytes": None})
    assert quotas(cli, "show", "--json").json() == view
    assert quotas(cli, "rm", "principals").out.startswith("No quotas")
    log = cli("--tenant", "acme", "audit", "ls", "--json").json()["items"]
    assert [entry["details"] for entry in log if entry["action"] == "tenant.quotas"][::-1] == [
        {"principals": 6, "runs": 5, "bytes": None},
        {"principals": 6, "runs": 1, "bytes": 0},
        {"principals": 6, "runs": None, "bytes": None},
        {"principals": None, "runs": None, "bytes": None},
    ], "to look is in no log"


def test_the_list_of_tenants_shows_them(cli):
    quotas(cli, "set", "--principals", "6", "--runs", "5")
    lines = {line.split()[1]: line for line in cli("tenants", "ls").out.splitlines()}
    assert "6 principals, 5 runs" in lines["acme"]
    assert "principals" not in lines["default"]
    listed = {one["name"]: one["quotas"] for one in cli("tenants", "ls", "--json").json()["items"]}
    assert listed["acme"] == {"principals": 6, "runs": 5, "bytes": None}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("set", "acme"), 2, "Say what is to be set: --principals, --runs or --bytes."),
        (("set", "acme", "--runs", "-1"), 2, "--runs"),
        (("rm", "acme"), 2, "Missing argument"),
        (("rm", "acme", "bytes"), 2, "The tenant has no quota 'bytes'. It has: runs."),
        (("rm", "acme", "runs", "cats"), 2, "The tenant has no quota 'cats'. It has: runs."),
        (("show", "nosuch"), 5, "There is no tenant 'nosuch'"),
        (("set", "nosuch", "--runs", "1"), 5, "There is no tenant 'nosuch'"),
        (("rm", "nosuch", "runs"), 5, "There is no tenant 'nosuch'"),
    ],
)
def test_what_is_none_is_told_and_nothing_is_changed(cli, arguments, code, says):
    quotas(cli, "set", "--runs", "5")
    ended = cli("tenants", "quotas", *arguments)
    assert (ended.code, says in ended.err) == (code, True), ended
    assert "Traceback" not in ended.err
    assert quotas(cli, "show", "--json").json()["quotas"] == {"principals": None, "runs": 5, "bytes": None}
