"""The system's PostgreSQL 15, as fallback and as a server that looks like an outside one."""

import os
import subprocess
import sys

import psycopg
import pytest
from embedded_processes import FAST, SRC, supervisor_of, until, until_gone

from holdfast.embedded import acquire, binaries, status
from support.tools import POSTGRES_15 as PG15
from support.tools import need_postgres_15


@pytest.fixture(autouse=True)
def installed() -> None:
    need_postgres_15()


def test_given_programs_run_and_their_data_chooses_them_again(data_dir):
    with acquire(data_dir, settings=FAST, bin_dir=PG15) as server, psycopg.connect(server.dsn) as connection:
        assert server.version.startswith("15.")
        connection.execute("create table kept as select 42 as answer")
    until_gone(data_dir)
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        assert server.version.startswith("15.")
        assert connection.execute("select answer from kept").fetchone() == (42,)
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)


def test_the_system_serves_where_the_wheel_has_nothing(data_dir, monkeypatch):
    monkeypatch.setattr(binaries, "_wheel", list)
    with acquire(data_dir, settings=FAST) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("show server_version").fetchone()[0].startswith("15.")


def test_a_server_on_the_loopback_asks_for_the_password(data_dir):
    with acquire(data_dir, settings=FAST, bin_dir=PG15, tcp_port=0) as server:
        with psycopg.connect(server.tcp_url()) as connection:
            assert connection.execute("select inet_server_addr()::text").fetchone() == ("127.0.0.1/32",)
        port = int(server.tcp_url().rpartition(":")[2].split("/")[0])
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=port, user="admin", dbname="postgres", password=password)
        assert (data_dir / "admin.password").stat().st_mode & 0o077 == 0
        supervisor = supervisor_of(data_dir)
        os.kill(supervisor, 9)  # its successor listens on the same port
        until(lambda: status(data_dir).running and supervisor_of(data_dir) != supervisor, "a new supervisor")
        psycopg.connect(server.tcp_url()).close()


def test_without_a_port_there_is_no_tcp(server):
    with pytest.raises(ValueError, match="tcp_port"):
        server.tcp_url()


def test_importing_it_is_light():
    code = f"import sys; sys.path.append({str(SRC)!r}); import holdfast.embedded; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    heavy = {"psycopg", "psutil", "asyncio", "subprocess", "ctypes", "dataclasses", "logging", "pydantic"}
    assert not heavy & set(loaded.stdout.split())
