"""A real PgBouncer in front of a test's database.

with pgbouncer(database) as url_of: ...     # url_of("holdfast_worker")

It deals out the server's sessions by transaction, from fewer than its clients are, so that what a session remembers is
soon another client's.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from support.tools import PGBOUNCER, need

CONFIG = """
[databases]
{database} = host={host} port={port} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = 3
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
logfile = {log}
pidfile =
"""


@contextmanager
def pgbouncer(database: Any, *, mode: str = "transaction") -> Iterator[Callable[[str], str]]:
    """A pooler for the length of the block; makes the URL of a role."""
    need(PGBOUNCER, "install-pgbouncer")
    server = conninfo_to_dict(database.admin_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = free.getsockname()[1]
    home = Path(tempfile.mkdtemp(prefix="holdfast-pgbouncer-"))
    config, log, users = home / "pgbouncer.ini", home / "log", home / "users"
    users.write_text("".join(f'"{role}" ""\n' for role in ("holdfast_worker", "holdfast_api", "admin")))
    config.write_text(
        CONFIG.format(
            database=database.name,
            host=server["host"],
            port=server["port"],
            listen=listen,
            users=users,
            log=log,
            mode=mode,
        )
    )
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root, and only the server's own user comes to the server's socket
        owner = Path(str(server["host"])).stat()
        os.chown(home, owner.st_uid, owner.st_gid)
        user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    process = subprocess.Popen([PGBOUNCER, config], stderr=subprocess.DEVNULL, **user)

    def url_of(role: str) -> str:
        return f"postgresql://{role}@127.0.0.1:{listen}/{database.name}"

    try:
        _wait_for(url_of("holdfast_api"), process, log)
        yield url_of
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(home)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            said = f"{error}\n{log.read_text() if log.exists() else ''}"
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PgBouncer does not serve: {said}")
            time.sleep(0.05)
        else:
            return
