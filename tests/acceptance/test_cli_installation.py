"""`doctor`, `migrate`, `config show`, `init`: the installation itself."""

import subprocess
import sys

import psycopg

from support.cli import APP, KEY, Cli


def levels(report):
    return {check["name"]: check["level"] for check in report["checks"]}


def test_doctor_finds_a_migrated_outside_database_healthy(tmp_path, database):
    report = Cli(tmp_path, database)("doctor", "--json").json()
    assert report["healthy"] is True
    found = levels(report)
    for name in ("versions", "wrapping key", "database", "schema", "login of the worker", "login of the api"):
        assert found[name] == "ok"


def test_doctor_says_what_is_wrong_and_changes_nothing(tmp_path, empty_database):
    cli = Cli(tmp_path, HOLDFAST_DATABASE_URL=empty_database.admin_url)
    ended = cli("doctor")
    assert ended.code == 4
    assert "holdfast migrate" in ended.out
    assert "no wrapping key is set" in ended.out
    with psycopg.connect(empty_database.admin_url) as connection:
        assert connection.execute("select from pg_namespace where nspname = 'holdfast'").fetchone() is None


def test_doctor_sees_a_login_that_could_pass_row_security(tmp_path, database):
    report = Cli(tmp_path, HOLDFAST_DATABASE_URL=database.admin_url, HOLDFAST_KEY=KEY)("doctor")
    assert report.code == 4
    assert "is a superuser" in report.out


def test_doctor_in_an_empty_directory_makes_nothing(tmp_path):
    ended = Cli(tmp_path)("doctor", "--json")
    assert levels(ended.json())["data directory"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_that_a_key_others_can_read_is_a_problem(tmp_path, database):
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o644)
    cli = Cli(tmp_path, database, HOLDFAST_KEY_FILE=str(key))
    cli.environment["HOLDFAST_KEY"] = ""
    ended = cli("doctor")
    assert (ended.code, f"chmod 600 {key}" in ended.out) == (4, True)
    key.chmod(0o600)
    assert cli("doctor").code == 0


def test_migrate_brings_an_empty_database_up_and_is_safe_to_repeat(tmp_path, empty_database):
    cli = Cli(tmp_path)
    first = cli("migrate", "--database-url", empty_database.admin_url, "--json").json()
    assert (first["from"], first["to"]) == (None, "0001")
    again = cli("migrate", "--json", HOLDFAST_ADMIN_DATABASE_URL=empty_database.admin_url).json()
    assert (again["from"], again["to"]) == ("0001", "0001")
    cli = Cli(tmp_path, empty_database)
    assert cli("run", APP, "echo", "hello").out == "You said hello\n"


def test_migrating_an_outside_database_needs_a_login_that_owns_it(tmp_path, database):
    ended = Cli(tmp_path, database)("migrate")
    assert ended.code == 3
    assert "HOLDFAST_ADMIN_DATABASE_URL" in ended.err


def test_config_shows_each_value_with_its_origin_and_no_secret(tmp_path, database):
    (tmp_path / "holdfast.toml").write_text("\nslots = 3\n")
    shown = Cli(tmp_path, database)("config", "show", "--data-dir", "here", "--json").json()
    of = {line["name"]: (line["value"], line["origin"]) for line in shown}
    assert of["slots"] == ("3", f"{tmp_path / 'holdfast.toml'}:2")
    assert of["lease_s"] == ("2.0", "HOLDFAST_LEASE_S")
    assert of["data_dir"] == (str(tmp_path / "here"), "--data-dir")
    assert of["key"] == ("***", "HOLDFAST_KEY")
    assert of["port"] == ("8787", "default")


def test_init_writes_a_project_that_runs_offline_and_tests_itself(tmp_path, database):
    project = tmp_path / "project"
    written = Cli(tmp_path)("init", str(project), "--json").json()["files"]
    assert sorted(path.name for path in project.iterdir()) == written
    cli = Cli(project, database)
    asked = cli("run", "app.py:app", "assistant", "What is the weather in Lisbon?")
    assert (asked.code, asked.out) == (0, "It is sunny in Lisbon.\n")
    policy = (project / "policy.cedar").read_text()
    assert cli("policy", "check", "app.py:app").code == 0
    (project / "policy.cedar").unlink()
    cli("policy", "init", "app.py:app")
    assert (project / "policy.cedar").read_text() == policy  # the one that the command writes for this app
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "."],
        cwd=project,
        env=cli.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    assert "1 passed" in tests.stdout


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    ended = Cli(tmp_path)("init", str(tmp_path))
    assert ended.code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
