"""Which database and which key an installation uses, and what it says when it cannot have them."""

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.domain.errors import DatabaseUnavailable, KeyUnavailable, RoleTooPowerful, SchemaMismatch, UserError
from holdfast.settings import PREFIX, Settings
from holdfast.store.vault import WrappingKey
from holdfast.wiring import Installation, open_api


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    return tmp_path


def outside(url: str, folder: Path, **more: Any) -> Settings:
    if not (folder / "key").exists():
        WrappingKey.generate().save(folder / "key")
    return Settings.load({"database_url": url, "key_file": folder / "key", **more})


async def test_the_embedded_database_is_started_and_migrated_and_its_key_kept(folder: Path):
    settings = Settings.load()
    async with open_api(settings) as services:
        assert await services.db.value("schema_version", {}) is not None
    key = settings.data_dir / "key"
    made = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    async with Installation.open(settings) as again:
        assert again.embedded
        assert again.wrapping.id == WrappingKey.from_file(key).id
    assert key.read_bytes() == made

    key.unlink()
    with pytest.raises(KeyUnavailable, match="is gone"):
        async with Installation.open(settings):
            pass
    assert not key.exists()


async def test_where_the_embedded_database_cannot_be_had_one_message_says_what_to_do(folder: Path):
    (folder / "data").mkdir()
    (folder / "data" / "pg").write_text("a file is in the way")
    WrappingKey.generate().save(folder / "data" / "key")
    with pytest.raises(DatabaseUnavailable, match="HOLDFAST_DATABASE_URL is not set, and the embedded"):
        async with Installation.open(Settings.load({"data_dir": folder / "data"})):
            pass


async def test_an_outside_database_needs_a_key_of_its_own(database: Any):
    with pytest.raises(KeyUnavailable, match="HOLDFAST_KEY_FILE"):
        async with Installation.open(Settings.load({"database_url": database.url})):
            pass


async def test_a_url_without_a_user_serves_both_roles(folder: Path, database: Any):
    async with Installation.open(outside(database.url, folder)) as installation:
        async with installation.database("worker") as db, db.connection() as connection:
            assert connection.info.user == "holdfast_worker"
        async with installation.database("api") as db, db.connection() as connection:
            assert connection.info.user == "holdfast_api"


async def test_an_outside_database_is_not_migrated_by_itself(folder: Path, empty_database: Any):
    with pytest.raises(SchemaMismatch, match="holdfast migrate"):
        async with open_api(outside(empty_database.url, folder)):
            pass


@pytest.mark.parametrize(("version", "says"), [("0000", "holdfast migrate"), ("9999", "Upgrade Holdfast")])
async def test_an_older_or_newer_schema_is_refused(folder: Path, database: Any, version: str, says: str):
    with database.as_owner() as connection:
        connection.execute("update holdfast.schema_version set version_num = %s", [version])
    with pytest.raises(SchemaMismatch, match=says):
        async with open_api(outside(database.url, folder)):
            pass


async def test_a_login_that_could_pass_row_level_security_is_refused(folder: Path, database: Any):
    with pytest.raises(RoleTooPowerful):
        async with open_api(outside(database.admin_url, folder)):
            pass


async def test_migrating_an_outside_database_needs_its_own_login(folder: Path, database: Any):
    async with Installation.open(outside(database.url, folder)) as installation:
        with pytest.raises(UserError, match="HOLDFAST_ADMIN_DATABASE_URL"):
            _ = installation.admin_url
    settings = outside(database.url, folder, admin_database_url=database.admin_url)
    async with Installation.open(settings) as installation:
        assert installation.admin_url == database.admin_url
