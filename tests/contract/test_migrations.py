"""Migrating: from nothing, again, at the same time, by a login that is no superuser, and what a wrong version says."""

import threading

import psycopg
import pytest

from holdfast.domain.errors import OperatorError, SchemaMismatch
from holdfast.store.migrate import expected_version, migrate, schema_status


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'holdfast'")}


def test_from_nothing_and_again(empty_database):
    assert schema_status(empty_database.admin_url).state == "missing"
    assert migrate(empty_database.admin_url).state == "ok"
    before = tables(empty_database.admin_url)
    assert {"runs", "events", "blobs", "schema_version"} <= before
    assert migrate(empty_database.admin_url).state == "ok"
    assert tables(empty_database.admin_url) == before


@pytest.mark.parametrize("role", ["holdfast_worker", "holdfast_api"])
def test_login_roles_can_read_the_version(database, role):
    status = schema_status(database.url_of(role))
    assert (status.current, status.state) == (expected_version(), "ok")


def test_two_at_once_are_safe(empty_database):
    found: list[object] = []

    def run() -> None:
        try:
            found.append(migrate(empty_database.admin_url).state)
        except BaseException as error:  # noqa: BLE001  reported below, from the main thread
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["ok"] * 4


@pytest.mark.parametrize(
    ("version", "state", "say"), [("0000", "older", "holdfast migrate"), ("9999", "newer", "Upgrade")]
)
def test_wrong_version_says_what_to_run(database, version, state, say):
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update holdfast.schema_version set version_num = %s", [version])
    status = schema_status(database.worker_url)
    assert status.state == state
    with pytest.raises(SchemaMismatch, match=say):
        status.require()
    if state == "newer":
        with pytest.raises(SchemaMismatch):
            migrate(database.admin_url)


def test_missing_says_what_to_run(empty_database):
    with pytest.raises(SchemaMismatch, match="holdfast migrate"):
        schema_status(empty_database.admin_url).require()


def test_a_failing_migration_leaves_nothing(empty_database):
    with psycopg.connect(empty_database.admin_url, autocommit=True) as connection:
        connection.execute("create schema holdfast")
        connection.execute("create table holdfast.live (one int)")  # in the way of the third statement
    with pytest.raises((psycopg.Error, OperatorError)):
        migrate(empty_database.admin_url)
    assert tables(empty_database.admin_url) == {"live"}
