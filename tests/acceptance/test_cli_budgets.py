"""`holdfast budget ...` as people and scripts meet it."""

from uuid import uuid4

import psycopg
import pytest

from support.cli import APP, Cli


@pytest.fixture
def cli(database, tmp_path):
    found = Cli(tmp_path, database)
    assert found("migrate").code in {0, 3}
    return found


def test_a_budget_is_set_named_by_its_words_raised_and_ended(cli):
    told = cli("budget", "set", "tenant", "20usd/day")
    assert (told.code, "tenant/day/usd: $20.00 a day for the tenant" in told.out) == (0, True), told
    assert "$0.00 of $20.00 spent, $0.00 held, $20.00 left" in told.out
    each = cli("budget", "set", "user:*", "1usd/day", "--json").json()
    model = cli("budget", "set", "model:gpt-5", "5000000tokens/month", "--json").json()
    assert (model["called"], model["amount"]) == ("model:gpt-5/month/tokens", "5000000")
    assert cli("budget", "set", "user:local", "9requests/hour", "--json").json()["key_name"] == "local"
    listed = cli("budget", "ls").out
    for said in ("tenant/day/usd", "user:*/day/usd", "user:local/hour/requests", "Days begin in the time zone UTC."):
        assert said in listed
    raised = cli("budget", "raise", "tenant/day/usd", "5usd", "--reason", "quarter's end").out
    assert "$0.00 of $25.00 spent" in raised
    assert "raised by $5.00" in raised
    assert cli("budget", "raise", each["id"], "1").code == 2, "nobody is named"
    assert cli("budget", "raise", each["id"], "1", "--owner", "local").code == 0
    assert "local: $0.00 of $2.00 spent" in cli("budget", "show", "user:*/day/usd").out
    assert cli("budget", "show", "user:local/hour/requests", "--json").json()["key_name"] == "local"
    assert "ended" in cli("budget", "rm", "tenant/day/usd").out
    assert cli("budget", "rm", "tenant/day/usd").code == 5
    assert len(cli("budget", "ls", "--ended", "--json").json()["items"]) == 4
    assert cli("budget", "alerts", "--json").json()["items"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("set", "tenant", "20"), 2, "is no allowance"),
        (("set", "galaxy", "20usd/day"), 2, "nothing that has a budget"),
        (("set", "user:Nobody", "1usd/day"), 5, "no principal 'Nobody'"),
        (("show", "tenant/day/usd"), 5, "no such budget"),
        (("show", "nonsense"), 2, "is no budget"),
        (("show", str(uuid4())), 5, "no such budget"),
        (("zone", "Mars/Olympus"), 2, "no time zone"),
        (("reconcile", str(uuid4())), 2, "Give all three"),
        (("reconcile", str(uuid4()), "#1", "1", "--usd", "1"), 2, "Say how you know"),
        (("reconcile", str(uuid4()), "#1", "1", "--usd", "1", "--reason", "x"), 5, "no such reservation"),
        (("reconcile", str(uuid4()), "#1", "1", "--reason", "x"), 2, "Say what it used"),
    ],
)
def test_what_cannot_be_is_told(cli, arguments, code, says):
    ended = cli("budget", *arguments)
    assert (ended.code, says in ended.err) == (code, True), ended


def test_days_begin_where_the_tenant_says(cli):
    assert cli("budget", "zone").out == "UTC\n"
    assert cli("budget", "zone", "Europe/Berlin").out == "Europe/Berlin\n"
    assert cli("budget", "zone", "--json").json() == {"time_zone": "Europe/Berlin"}


def test_a_run_that_waits_says_for_which_budget_and_goes_on_once_it_is_raised(cli):
    cli("budget", "set", "task:echo", "0requests/ever")
    run = cli("run", APP, "echo", "hi", "--detach", "--json").json()["id"]
    waiting = cli("run", APP, "echo", "again")
    assert waiting.code == 7, waiting
    story = cli("runs", "show", "last")
    assert "waited for a budget to have room" in story.out, story
    assert "budget task:echo/ever/requests: 0 of 0 left" in story.out
    assert "holdfast budget show" in story.out
    view = cli("runs", "show", run, "--json").json()["run"]
    assert view["state"] in {"queued", "parked"}
    assert cli("budget", "raise", "task:echo/ever/requests", "9").code == 0
    assert cli("runs", "show", "last", "--json").json()["run"]["state"] == "queued"


def test_what_is_held_and_what_is_reserved_are_compared(cli, database):
    budget = cli("budget", "set", "tenant", "20usd/day", "--json").json()["id"]
    checked = cli("budget", "reconcile")
    assert (checked.code, "What is held is what is reserved." in checked.out) == (0, True)
    cli("budget", "raise", budget, "1")
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("update holdfast.budget_windows set held = 5")
    checked = cli("budget", "reconcile")
    assert (checked.code, "wrong: tenant/day/usd" in checked.out) == (1, True), checked
