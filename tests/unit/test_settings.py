"""Settings: precedence, places of wrong values, masking."""

from pathlib import Path

import pytest

from holdfast.domain.errors import UserError
from holdfast.settings import PREFIX, Settings, mask_url


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(**flags: object) -> str:
    with pytest.raises(UserError) as caught:
        Settings.load(flags)
    return str(caught.value)


def test_flags_beat_the_environment_which_beats_the_file_which_beats_defaults(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "holdfast.toml").write_text("slots = 2\nport = 2\nlease_s = 2\n")
    monkeypatch.setenv("HOLDFAST_SLOTS", "3")
    monkeypatch.setenv("HOLDFAST_PORT", "3")
    settings = Settings.load({"slots": 4, "host": None})
    assert (settings.slots, settings.port, settings.lease_s, settings.host) == (4, 3, 2.0, "127.0.0.1")
    assert settings.origin("slots") == "--slots"
    assert settings.origin("port") == "HOLDFAST_PORT"
    assert settings.origin("lease_s") == f"{project}/holdfast.toml:3"
    assert settings.origin("host") == "default"


def test_the_file_is_searched_upwards_and_its_paths_count_from_where_it_lies(project: Path):
    (project / "holdfast.toml").write_text('key_file = "secrets/key"\n')
    below = project / "a" / "b"
    below.mkdir(parents=True)
    settings = Settings.load(cwd=below)
    assert settings.key_file == project / "secrets" / "key"
    assert settings.data_dir == project / ".holdfast"


def test_paths_of_the_environment_count_from_the_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / "holdfast.toml").write_text('data_dir = "elsewhere"\n')
    below = project / "a"
    below.mkdir()
    monkeypatch.setenv("HOLDFAST_DATA_DIR", "data")
    assert Settings.load(cwd=below).data_dir == below / "data"


def test_an_unknown_key_is_refused_with_its_line_and_a_suggestion(project: Path):
    (project / "holdfast.toml").write_text("port = 1\n\ndatabse_url = 'x'\n")
    assert refusal() == f"{project}/holdfast.toml:3: 'databse_url' is not a setting. Did you mean 'database_url'?"


def test_a_table_is_refused_as_an_unknown_key(project: Path):
    (project / "holdfast.toml").write_text("[zzzz]\nport = 1\n")
    assert refusal().startswith(f"{project}/holdfast.toml:1: 'zzzz' is not a setting.")


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_DATABSE_URL", "x")
    assert refusal() == "HOLDFAST_DATABSE_URL is not a setting. Did you mean HOLDFAST_DATABASE_URL?"


def test_a_strange_variable_of_the_same_prefix_is_not_ours_to_refuse(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_BANK_LEDGER", "x")
    Settings.load()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('slots = "many"', "should be a valid integer"),
        ("slots = 0", "greater than or equal to 1"),
        ("lease_s = 0.1", "greater than or equal to 1"),
        ("port = 70000", "less than or equal to 65535"),
        ('log_level = "loud"', "should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_in_the_file_is_named_with_file_line_and_field(project: Path, line: str, says: str):
    (project / "holdfast.toml").write_text(f"# a comment\n{line}\n")
    message = refusal()
    assert message.startswith(f"{project}/holdfast.toml:2: '{line.split(maxsplit=1)[0]}' ")
    assert says in message


def test_every_wrong_value_is_named_at_once_with_its_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_SLOTS", "many")
    monkeypatch.setenv("HOLDFAST_PORT", "-1")
    first, second = refusal().splitlines()
    assert first.startswith("HOLDFAST_SLOTS: 'slots' ")
    assert second.startswith("HOLDFAST_PORT: 'port' ")


def test_a_malformed_file_is_named_with_its_line(project: Path):
    (project / "holdfast.toml").write_text("port = 1\nslots =\n")
    message = refusal()
    assert str(project / "holdfast.toml") in message
    assert "line 2" in message


def test_two_wrapping_keys_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_KEY", "secret-text")
    message = refusal(key_file="key")
    assert "'key' by HOLDFAST_KEY" in message
    assert "'key_file' by --key-file" in message
    assert "secret-text" not in message


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "postgresql://u:pw@h/db?sslpassword=pw")
    monkeypatch.setenv("HOLDFAST_ADMIN_DATABASE_URL", "host=h password='p w' user=u")
    monkeypatch.setenv("HOLDFAST_KEY", "pw")
    settings = Settings.load()
    shown = {line.name: line for line in settings.show()}
    assert shown["database_url"].value == "postgresql://u:***@h/db?sslpassword=***"
    assert shown["database_url"].origin == "HOLDFAST_DATABASE_URL"
    assert shown["admin_database_url"].value == "host=h password=*** user=u"
    assert shown["key"].value == "***"
    assert "pw" not in repr(settings)


def test_a_wrong_secret_is_not_repeated_in_the_message(project: Path):
    (project / "holdfast.toml").write_text("key = 12345\n")
    message = refusal()
    assert "'key'" in message
    assert "12345" not in message


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:p@x@h/db", "postgresql://u:***@h/db"),
        ("postgresql:///db?host=/run", "postgresql:///db?host=/run"),
        ("postgresql://h:5432/db", "postgresql://h:5432/db"),
        ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db"),
    ],
)
def test_masking_hides_the_password_only(url: str, masked: str):
    assert mask_url(url) == masked
