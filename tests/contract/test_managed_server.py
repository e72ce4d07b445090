"""A server where nobody of ours is a superuser: the login that migrates owns its database and has CREATEROLE.

Roles belong to the cluster, so each test has a server of its own.
"""

import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from holdfast.domain.errors import OperatorError
from holdfast.embedded import acquire
from holdfast.store.migrate import migrate, schema_status
from support.store_scene import Aside, Member, Scene, outcomes
from support.tools import POSTGRES_15, need_postgres_15

BIN_DIRS = {"18": None, "15": POSTGRES_15}
SETTINGS = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "40"}


class ManagedDatabase:
    """As `conftest.Database`, on the server of this test."""

    def __init__(self, server, name):
        self.server, self.name = server, name

    def url_of(self, role):
        return self.server.url(user=role, database=self.name)


@pytest.fixture(params=["18", "15"])
def managed(request):
    if request.param == "15":
        need_postgres_15()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-managed-"))
    folder.chmod(0o755)
    with acquire(folder / "pg", settings=SETTINGS, bin_dir=BIN_DIRS[request.param]) as server:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute("create role boss login createrole")
            for name in ("one", "two"):
                admin.execute(f"create database {name} owner boss")
                admin.execute(f"revoke connect on database {name} from public")
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def test_it_migrates_again_and_a_second_database_too_and_keeps_no_power(managed):
    first, second = ManagedDatabase(managed, "one"), ManagedDatabase(managed, "two")
    for database in (first, second, first):
        assert migrate(database.url_of("boss")).state == "ok"
        assert schema_status(database.url_of("holdfast_api")).state == "ok"
    for database in (first, second):
        scene = Scene(database)
        [held] = scene.hold()
        assert outcomes(scene.worker, Member(held)) == ["appended"]
        for role in ("holdfast_engine", "holdfast_owner"):
            with psycopg.connect(database.url_of("boss")) as boss, pytest.raises(psycopg.errors.InsufficientPrivilege):
                boss.execute(f"set role {role}")
        with psycopg.connect(database.url_of("boss")) as boss, pytest.raises(psycopg.errors.InsufficientPrivilege):
            boss.execute("select * from holdfast.runs")
        scene.close()


def test_two_databases_of_one_cluster_at_once(managed):
    urls = [ManagedDatabase(managed, name).url_of("boss") for name in ("one", "two", "one", "two")]
    assert [job.result().state for job in [Aside(lambda url=url: migrate(url)) for url in urls]] == ["ok"] * 4


def test_passwords_are_set_only_when_given_and_never_in_clear(managed):
    database = ManagedDatabase(managed, "one")
    migrate(database.url_of("boss"))

    def stored():
        with psycopg.connect(managed.dsn) as admin:
            return dict(
                admin.execute("select rolname, rolpassword from pg_authid where rolname ~ '^holdfast'").fetchall()
            )

    assert set(stored().values()) == {None}
    migrate(database.url_of("boss"), passwords={"holdfast_worker": "s3cret'"})
    found = stored()
    assert found.pop("holdfast_worker").startswith("SCRAM-SHA-256$")
    assert set(found.values()) == {None}
    with pytest.raises(OperatorError, match="holdfast_owner"):
        migrate(database.url_of("boss"), passwords={"holdfast_owner": "x"})


def test_a_login_that_may_not_is_told_what_is_needed(managed):
    with psycopg.connect(managed.dsn, autocommit=True) as admin:
        admin.execute("create role weak login")
        admin.execute("grant connect on database one to weak")
    with pytest.raises(OperatorError, match="CREATEROLE"):
        migrate(ManagedDatabase(managed, "one").url_of("weak"))
