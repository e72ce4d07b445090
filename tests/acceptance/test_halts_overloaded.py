"""Halts while everything is overloaded: no connection is left on the server, or none in the API's process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx2
import psycopg
import pytest

from support.cli import APP, KEY, Cli
from support.private_database import serving
from support.processes import PATIENCE_S, logged, process, until
from support.tools import POSTGRES_15

SMALL = {"shared_buffers": "16MB", "max_connections": "24", "fsync": "off"}
EVERYTHING = ("halt", "--everything", "--reason", "fire")
POOL = 8
REQUESTS = 2 * POOL


@contextmanager
def taken(database, login) -> Iterator[list[psycopg.Connection]]:
    """Every connection that this login can get."""
    held = []
    try:
        with suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(database.url_of(login)))
        yield held
    finally:
        for connection in held:
            connection.close()


def halts(database):
    with psycopg.connect(database.admin_url) as connection:
        return connection.execute("select scope, lifted_at is null from holdfast.halts order by at").fetchall()


def test_the_embedded_server_keeps_connections_for_who_halts(tmp_path):
    """Both of the second terminal's commands, with every ordinary connection taken and none given back."""
    with serving(SMALL) as database, taken(database, "holdfast_worker"):
        cli = Cli(tmp_path, HOLDFAST_KEY=KEY, HOLDFAST_DATA_DIR=str(database.data_dir.parent))
        refused = cli("runs", "ls")
        assert refused.code == 4, "else a connection was left"
        assert "reserved" in refused.err

        halt = cli(*EVERYTHING, "--json")
        assert halts(database) == [("everything", True)], halt.err
        assert "waiting" not in halt.err
        assert cli("halt", "lift", halt.json()["id"]).code == 0
        assert halts(database) == [("everything", False)]


@pytest.mark.parametrize("bin_dir", [None, POSTGRES_15], ids=["18", "15"])
def test_elsewhere_a_halt_waits_says_why_and_takes_the_first_connection_that_is_free(tmp_path, bin_dir):
    kept = {} if bin_dir else {"reserved_connections": "0"}
    with serving(SMALL | kept, bin_dir=bin_dir) as database, taken(database, "holdfast_api") as held:
        cli = Cli(tmp_path, HOLDFAST_KEY=KEY, HOLDFAST_DATABASE_URL=database.url_of("holdfast_api"))
        with process(cli, *EVERYTHING) as halting:
            log = tmp_path / "halt.log"
            said = until(log.read_text, lambda text: "waiting for a connection" in text, "it says that it waits")
            assert "FATAL" in said, "it says why"
            assert halts(database) == []
            held.pop().close()
            assert halting.wait(PATIENCE_S) == 0, log.read_text()
        assert log.read_text().count("waiting for a connection") == 1, log.read_text()
        assert halts(database) == [("everything", True)]


def test_requests_that_wait_keep_no_halt_from_the_api(database, tmp_path):
    """As many as its pool holds wait for a lock that is not given; nobody else's halt does."""
    cli = Cli(tmp_path, database)
    headers = {"Authorization": f"Bearer {cli('keys', 'create').out.strip()}"}
    with (
        process(cli, "serve", APP, "--port", "0"),
        httpx2.Client(
            base_url=logged(cli, "serve", "api.started")[0]["url"], timeout=PATIENCE_S, headers=headers
        ) as api,
        psycopg.connect(database.admin_url) as blocking,
        psycopg.connect(database.admin_url, autocommit=True) as watching,
        ThreadPoolExecutor(REQUESTS) as others,
    ):
        blocking.execute("lock table holdfast.approvals in access exclusive mode")
        waiting = [others.submit(api.get, "/v1/approvals") for _ in range(REQUESTS)]
        until(lambda: blocked(watching), lambda found: found >= POOL, "all connections of the API wait for the lock")

        made = api.post("/v1/halts", json={"scope": "task", "key": "echo", "reason": "fire"})
        assert made.status_code == 201, made.text
        assert api.post(f"/v1/halts/{made.json()['id']}/lift").status_code == 200
        assert not any(one.done() for one in waiting), "else a connection was free"
        blocking.rollback()
        assert waiting[0].result().status_code == 200


def blocked(connection):
    return connection.execute(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    ).fetchone()[0]


@pytest.mark.parametrize(
    ("bin_dir", "kept", "said"),
    [(None, {"reserved_connections": "0"}, "no connection"), (POSTGRES_15, {}, "before PostgreSQL 16")],
    ids=["none", "15"],
)
def test_doctor_says_that_no_connection_is_kept(tmp_path, bin_dir, kept, said):
    with serving(SMALL | kept, bin_dir=bin_dir) as database:
        found = of_halts(Cli(tmp_path, HOLDFAST_KEY=KEY, HOLDFAST_DATABASE_URL=database.url))
        assert (found["level"], found["found"].startswith(said)) == ("note", True), found


def test_doctor_says_for_whom_connections_are_kept(tmp_path):
    with serving(SMALL) as database:
        embedded = Cli(tmp_path, HOLDFAST_KEY=KEY, HOLDFAST_DATA_DIR=str(database.data_dir.parent))
        assert of_halts(embedded)["level"] == "ok"
        outside = of_halts(Cli(tmp_path, HOLDFAST_KEY=KEY, HOLDFAST_DATABASE_URL=database.url))
        assert (outside["level"], "not for holdfast_api" in outside["found"]) == ("note", True), outside
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            connection.execute("revoke pg_use_reserved_connections from holdfast_halt")
        assert "GRANT pg_use_reserved_connections TO holdfast_halt" in of_halts(embedded)["advice"]


def of_halts(cli):
    [found] = [check for check in cli("doctor", "--json").json()["checks"] if check["name"] == "halts"]
    return found
