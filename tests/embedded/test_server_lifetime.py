"""One server, shared, alive exactly as long as somebody holds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from embedded_processes import (
    FAST,
    SRC,
    alive,
    postmaster_of,
    servers_on,
    supervisor_of,
    supervisors_on,
    until,
    until_gone,
)

from holdfast.embedded import acquire, status, until_stopped
from holdfast.embedded.postmaster import LOG_MAX_BYTES


def test_first_use_starts_it_and_the_second_process_shares_it(data_dir, hold):
    first, second = hold(), hold()
    started, shared = first.answer(), second.answer()
    assert started["pid"] == shared["pid"]
    with psycopg.connect(shared["dsn"]) as connection:
        assert connection.execute("select current_user").fetchone() == ("admin",)
    assert status(data_dir).holders == tuple(sorted((first.process.pid, second.process.pid)))


def test_it_stops_when_the_last_holder_ends_and_not_before(data_dir, hold):
    first, second = hold(), hold()
    pid = first.answer()["pid"]
    dsn = second.answer()["dsn"]
    first.release()
    with psycopg.connect(dsn) as connection:
        connection.execute("select 1")
    second.release()
    until_gone(data_dir)
    assert not alive(pid)
    assert not status(data_dir).running
    # A clean stop, not a crash: the next start has nothing to recover.
    assert "database system is shut down" in (data_dir / "log/postgresql.log").read_text()


def test_whoever_removes_the_directory_can_wait_until_nothing_is_written_there(data_dir):
    assert until_stopped(data_dir), "there was none"
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table busy as select generate_series(1, 200000)")
        assert not until_stopped(data_dir, 0.05), "it is held"
    assert until_stopped(data_dir)
    assert servers_on(data_dir) == supervisors_on(data_dir) == []


def test_a_connection_left_open_does_not_keep_it(data_dir):
    with acquire(data_dir, settings=FAST) as server:
        left_open = psycopg.connect(server.dsn)
    until_gone(data_dir)
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("select 1")
    left_open.close()


def test_shares_within_one_process_count_one_by_one(data_dir):
    first, second = acquire(data_dir, settings=FAST), acquire(data_dir)
    first.release()
    first.release()
    with psycopg.connect(second.dsn) as connection:
        connection.execute("select 1")
    second.release()
    until_gone(data_dir)


def test_committed_data_and_options_come_back(data_dir):
    for count in (1, 2, 3):
        with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
            connection.execute("create table if not exists kept (at serial)")
            connection.execute("insert into kept default values")
            assert connection.execute("select count(*) from kept").fetchone() == (count,)


def test_the_server_is_durable_closed_and_utf8_by_default(data_dir):
    with acquire(data_dir) as server, psycopg.connect(server.dsn) as connection:

        def show(name: str) -> str:
            return connection.execute("select current_setting(%s)", (name,)).fetchone()[0]

        assert {name: show(name) for name in ("fsync", "synchronous_commit", "full_page_writes")} == {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
        }
        assert (show("listen_addresses"), show("server_encoding"), show("TimeZone")) == ("", "UTF8", "UTC")
        locale = "select datlocprovider, datlocale, datcollate from pg_database where datname = 'postgres'"
        assert connection.execute(locale).fetchone() == ("b", "C.UTF-8", "C")
        assert server.version.startswith("18.")
        socket_dir = status(data_dir).socket_dir
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ValueError, match="listen_addresses"):
        acquire(data_dir, settings={"listen_addresses": "*"})


def test_roles_connect_by_url_without_a_password(server):
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute('create role "odd role/name" login')
        connection.execute('create database "odd db?name"')
    with psycopg.connect(server.url(user="odd role/name", database="odd db?name")) as connection:
        who = connection.execute("select current_user::text, current_database()::text").fetchone()
    assert who == ("odd role/name", "odd db?name")


def test_it_does_not_hear_the_terminal(server, data_dir):
    """Ctrl-C goes to the terminal's process group and session; neither has the server or its supervisor."""
    for pid in (postmaster_of(data_dir), supervisor_of(data_dir)):
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)
    supervisor = supervisor_of(data_dir)
    os.kill(supervisor, signal.SIGINT)
    os.kill(supervisor, signal.SIGHUP)
    with psycopg.connect(server.dsn) as connection:
        connection.execute("select 1")
    assert supervisor_of(data_dir) == supervisor


def test_nothing_of_the_environment_reaches_the_server(data_dir, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-of-the-caller")
    with acquire(data_dir, settings=FAST):
        for pid in (postmaster_of(data_dir), supervisor_of(data_dir)):
            assert b"a-secret-of-the-caller" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_children_of_a_holder_do_not_hold(data_dir, hold):
    """Neither a forked child nor a program it starts with every descriptor open keeps the share."""
    code = (
        "import os, signal, sys, subprocess; sys.path.append(sys.argv[1])\n"
        "from pathlib import Path\n"
        "from holdfast.embedded import acquire\n"
        f"server = acquire(Path(sys.argv[2]), settings={FAST!r})\n"
        "sleeper = subprocess.Popen(['sleep', '600'], close_fds=False, stdout=subprocess.DEVNULL)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.pause()\n"
        "print(sleeper.pid, child, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(SRC), str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        children = [int(pid) for pid in holder.stdout.readline().split()]
        try:
            holder.kill()
            holder.wait()
            until_gone(data_dir)
            assert all(alive(pid) for pid in children)
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)


def test_a_removed_directory_ends_its_server_and_a_new_one_is_independent(data_dir, tmp_path):
    """Someone deletes .holdfast in use: the old server goes, its holder never touches the new directory."""
    old = acquire(data_dir, settings=FAST)
    pid, supervisor = postmaster_of(data_dir), supervisor_of(data_dir)
    data_dir.rename(tmp_path / "moved")
    with acquire(data_dir, settings=FAST) as new:
        until(lambda: not alive(pid) and not alive(supervisor), "the old server ended")
        with psycopg.connect(new.dsn) as connection:
            connection.execute("select 1")
        assert len(supervisors_on(data_dir)) == 1
        postmasters = [one for one in servers_on(data_dir) if one == postmaster_of(data_dir)]
        assert len(postmasters) == 1
    old.release()


def test_the_log_keeps_one_predecessor(data_dir):
    """The supervisor looks when anything wakes it; here a signal does."""
    with acquire(data_dir, settings=FAST) as server:
        log = data_dir / "log" / "postgresql.log"
        os.truncate(log, LOG_MAX_BYTES + 1)
        os.kill(supervisor_of(data_dir), signal.SIGHUP)
        until(lambda: log.stat().st_size < LOG_MAX_BYTES, "the log was rotated")
        assert log.with_name("postgresql.log.1").stat().st_size >= LOG_MAX_BYTES
        with psycopg.connect(server.dsn) as connection, pytest.raises(psycopg.Error):
            connection.execute("select nonsense")
        until(lambda: "nonsense" in log.read_text(), "the server writes to the new log")
