"""`serve`, `worker`, `dev`: processes that stay, end in order, and lose no run."""

import json
import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest

from support.cli import APP, Cli
from support.processes import PATIENCE_S, logged, process, until


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def test_an_api_and_a_worker_serve_a_run_and_end_when_told(cli):
    with process(cli, "serve", APP, "--port", "0") as api, process(cli, "worker", APP) as worker:
        url = logged(cli, "serve", "api.started")[0]["url"]
        headers = {"Authorization": f"Bearer {cli('keys', 'create').out.strip()}"}
        asked = {"json": {"input": "hello"}, "headers": headers}
        answer = httpx2.post(f"{url}/v1/tasks/echo/runs?wait=60", timeout=PATIENCE_S, **asked)
        assert answer.json()["output"]["value"] == "You said hello"
        for one in (api, worker):
            one.send_signal(signal.SIGTERM)
            assert one.wait(60) == 0


def test_a_port_that_is_taken_is_said(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = cli("serve", APP, "--port", str(port))
        assert ended.code == 4
        assert f"port {port}" in ended.err
        assert "--port" in ended.err


def test_dev_starts_again_on_change_and_hands_runs_over(cli, tmp_path):
    """A run is in the middle of a tool when its code changes: it goes on in the new process."""
    app = tmp_path / "app.py"
    app.write_text(Path(APP.removesuffix(":app")).read_text())
    with process(cli, "dev", "app.py:app", "--port", "0") as dev:
        logged(cli, "dev", "worker.started")
        run = cli("run", "app.py", "wait", "x", "--detach").out.strip()
        until((tmp_path / "waiting").exists, bool, "the tool is running")

        app.write_text("def broken(:\n")
        log = tmp_path / "dev.log"
        until(log.read_text, lambda text: "worker: waits for a change" in text, "the broken code is refused")
        app.write_text(Path(APP.removesuffix(":app")).read_text().replace('"waited"', '"waited anew"'))
        logged(cli, "dev", "worker.started", 2)
        (tmp_path / "go").touch()
        ended = cli("runs", "tail", run)
        assert ended.code == 0, ended.err
        story = cli("runs", "show", run, "--json").json()
        assert story["run"]["output"]["value"] == "It says: waited anew"

        children = [int(line["pid"]) for line in logged(cli, "dev", "worker.started")][-1:]
        dev.send_signal(signal.SIGINT)
        assert dev.wait(60) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_dev_says_once_that_the_database_does_not_answer_and_starts_when_it_does(cli, database, tmp_path):
    log = tmp_path / "dev.log"
    with open_to_nobody(database) as let_in, process(cli, "dev", APP, "--port", "0", "--no-reload"):
        until(log.read_text, lambda text: "Tried again every 3 s" in text, "it says that there is no database")
        let_in()
        logged(cli, "dev", "worker.started")
        logged(cli, "dev", "api.started")
        said = log.read_text()
        assert said.count("not currently accepting connections") == 1, said
        assert "HOLDFAST_DATABASE_URL" in said
        assert "The database answers." in said
        assert "waits for a change" not in said


@contextmanager
def open_to_nobody(database):
    """A database that refuses everybody until the block, or who is called, lets them in again."""
    with psycopg.connect(database.admin_url, dbname="postgres", autocommit=True) as admin:

        def let_in():
            admin.execute(f"alter database {database.name} allow_connections true")

        admin.execute(f"alter database {database.name} allow_connections false")
        try:
            yield let_in
        finally:
            let_in()


def test_dev_tries_again_when_a_port_is_taken(cli, tmp_path):
    log = tmp_path / "dev.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with process(cli, "dev", APP, "--port", str(port), "--no-reload"):
            until(log.read_text, lambda text: "serve: tries again in 2 s" in text, "the port is refused")
            taken.close()
            assert logged(cli, "dev", "api.started")[0]["url"].endswith(f":{port}")


def test_dev_starts_a_worker_that_was_killed_again(cli, database):
    with process(cli, "dev", APP, "--port", "0", "--no-reload"):
        pid = logged(cli, "dev", "worker.started")[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        again = logged(cli, "dev", "worker.started", 2)[1]["pid"]
        assert again != pid
        with psycopg.connect(database.admin_url) as connection:
            pids = {row[0] for row in connection.execute("select pid from holdfast.workers").fetchall()}
        assert again in pids


def test_children_end_when_dev_is_killed(cli):
    cli.environment["PYTHONFAULTHANDLER"] = "1"
    with process(cli, "dev", APP, "--port", "0", "--no-reload") as dev:
        pid = logged(cli, "dev", "worker.started")[0]["pid"]
        dev.send_signal(signal.SIGKILL)
        dev.wait()
        try:
            until(lambda: _alive(pid), lambda alive: not alive, "the worker has ended")
        except AssertionError:
            print(Path(f"/proc/{pid}/status").read_text())
            os.kill(pid, signal.SIGABRT)  # it tells what it was about
            until(lambda: _alive(pid), lambda alive: not alive, "the worker is aborted")
            print((cli.folder / "dev.log").read_text())
            raise


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_log_of_a_process_is_json_where_there_is_no_terminal(cli):
    with process(cli, "worker", APP) as worker:
        logged(cli, "worker", "worker.started")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert all(json.loads(line) for line in (cli.folder / "worker.log").read_text().splitlines())
