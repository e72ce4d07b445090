"""Who acts next, told by exit code and message; never a traceback, unless it is asked for."""

import json

import pytest

from support.cli import APP, KEY, Cli

WRONG_APPS = {
    "nowhere.py": "There is no file",
    "no_such_module:app": "There is no module 'no_such_module'",
    "broken.py": "broken.py:2: importing",
    "plain.py": "has no attribute 'app'",
}


@pytest.mark.parametrize("reference", WRONG_APPS)
def test_an_app_that_cannot_be_loaded_is_the_developers_matter(tmp_path, reference):
    (tmp_path / "broken.py").write_text("\nraise ValueError('no such city')\n")
    (tmp_path / "plain.py").write_text("x = 1\n")
    cli = Cli(tmp_path)
    ended = cli("run", reference, "task", "input")
    assert ended.code == 3
    assert WRONG_APPS[reference] in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / ".holdfast").exists(), "nothing is started for it"


def test_a_wrong_setting_is_named_with_its_place(tmp_path):
    (tmp_path / "holdfast.toml").write_text("slots = 1\nlease_s = 'long'\n")
    ended = Cli(tmp_path, HOLDFAST_LEASE_S="")("config", "show", "--json")
    assert ended.code == 3
    assert "holdfast.toml:2" in json.loads(ended.err)["message"]


def test_looking_makes_no_installation(tmp_path):
    ended = Cli(tmp_path)("runs", "ls")
    assert ended.code == 3
    assert "There is no installation here" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_reached_is_the_operators_matter(tmp_path):
    cli = Cli(tmp_path, HOLDFAST_DATABASE_URL="postgresql://:hidden@127.0.0.1:1/x?connect_timeout=1", HOLDFAST_KEY=KEY)
    for command in (["migrate", "--database-url", "postgresql://a:hidden@127.0.0.1:1/x"], ["doctor"]):
        ended = cli(*command)
        assert ended.code == 4
        assert "Traceback" not in ended.err
        assert "hidden" not in ended.out + ended.err


def test_a_database_without_a_schema_says_what_to_run(tmp_path, empty_database):
    ended = Cli(tmp_path, HOLDFAST_DATABASE_URL=empty_database.admin_url, HOLDFAST_KEY=KEY)("run", APP, "echo", "x")
    assert ended.code == 4
    assert "holdfast migrate" in ended.err


def test_a_login_that_could_pass_row_security_is_refused(tmp_path, database):
    ended = Cli(tmp_path, HOLDFAST_DATABASE_URL=database.admin_url, HOLDFAST_KEY=KEY)("runs", "ls")
    assert ended.code == 4
    assert "is a superuser" in ended.err


def test_an_outside_database_needs_a_key(tmp_path, database):
    ended = Cli(tmp_path, database, HOLDFAST_KEY="")
    ended.environment["HOLDFAST_KEY"] = ""
    told = ended("runs", "ls")
    assert told.code == 4
    assert "openssl rand -base64 32" in told.err


def test_usage_ends_with_2(tmp_path):
    cli = Cli(tmp_path)
    for wrong in (["nonsense"], ["runs", "ls", "--limit", "many"], ["approvals", "show", "no-uuid"], ["--nonsense"]):
        assert cli(*wrong).code == 2


def test_debug_shows_where_it_happened(tmp_path):
    ended = Cli(tmp_path)("--debug", "run", "nowhere.py", "task", "input")
    assert ended.code == 3
    assert "Traceback" in ended.err
    assert "There is no file" in ended.err.splitlines()[-1]


def test_no_application_named_says_where_to_write_it(tmp_path):
    for command in ("dev", "serve", "worker"):
        ended = Cli(tmp_path)(command)
        assert ended.code == 3
        assert "holdfast.toml" in ended.err
