"""What the tests stand on: real PostgreSQL servers, and fresh databases with Holdfast's schema.

    def test_something(database):              # an embedded PostgreSQL 18, a database of its own
        with psycopg.connect(database.worker_url) as connection: ...

`pg_server`  (session)  a running server, shared by all test processes on the machine and kept between runs, in
             memory where there is room for it (see `_folder`); the embedded 18 unless parametrised:
             `@pytest.mark.parametrize("pg_server", ["18", "15"], indirect=True)`. Everything below follows it.
             Tests in `contract/` run on both without saying so.
`database`   (function) a database made from a migrated template (20 ms of CPU) and dropped afterwards. It has
             `.admin_url` (superuser), `.worker_url` and `.api_url` (the real login roles), `.url` (no user in it),
             `.url_of(role)`, and `.as_owner()`: a connection that acts as the owner of the schema.
`empty_database`  the same without the schema.
`private_database`  the same on a server of the test's own, which it may kill.
"""

import gc
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import hypothesis  # noqa: F401 - imported late, under pytest's rewriting of asserts, it can crash Python 3.11
import psycopg
import pytest
import structlog

from holdfast.embedded import EmbeddedServer, acquire
from holdfast.observe.logs import set_up_logs
from holdfast.store import migrate
from support import trust
from support.logins import Logins
from support.private_database import private_database as private_database  # noqa: PLC0414 - a fixture
from support.tools import OTHER_POSTGRES, POSTGRES_15, need_postgres_15

CHECKOUT = Path(__file__).parents[1]
BIN_DIRS = {"18": None, "15": POSTGRES_15}
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 << 30  # two servers need 0.3 GB, and 0.8 at most
SETTINGS = {
    "fsync": "off",  # no test cuts the power; those that kill a server need no more than the kernel's cache
    "shared_buffers": "64MB",
    "max_connections": "200",
    "autovacuum_naptime": "5min",
}
_numbers = itertools.count()


@dataclass(frozen=True)
class Server:
    """A running server, the template with the migrated schema, and a superuser's connection to make databases by."""

    version: str
    embedded: EmbeddedServer
    template: str
    admin: psycopg.Connection[Any]

    def url(self, user: str, database: str) -> str:
        return self.embedded.url(user=user, database=database)


@dataclass(frozen=True)
class Database(Logins):
    """A database for one test."""

    server: Server
    name: str

    def url_of(self, role: str) -> str:
        return self.server.url(role, self.name)

    @property
    def url(self) -> str:
        return self.admin_url.replace(f"{urlsplit(self.admin_url).username}@", "")

    @contextmanager
    def as_owner(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute("set role holdfast_owner")
            yield connection


def _folder() -> Path:
    """Where this checkout's servers are. In memory, if there is a file system for that.

    A database is 500 files, made and removed for each test. ext4 gives no file the inode of one that was removed in the
    last minutes, and looks at each of those first: 0.3 s for a database, ten times what it takes in memory.
    """
    checkout = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).total >= ROOM_BYTES
    return (MEMORY if roomy else Path(tempfile.gettempdir())) / f"holdfast-tests-{os.getuid()}-{checkout}"


def _made_folder() -> Path:
    """Our folder, after those of checkouts that are gone were removed: nobody else would give their memory back."""
    folder = _folder()
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / "checkout").write_text(str(CHECKOUT))
    for named in folder.parent.glob(f"holdfast-tests-{os.getuid()}-*/checkout"):
        with suppress(FileNotFoundError):  # another test process removes it too
            if not Path(named.read_text()).exists():
                shutil.rmtree(named.parent, ignore_errors=True)
    return folder


def _template_name() -> str:
    """Named by the migrations' text, so that a change of any makes another."""
    digest = hashlib.sha256()
    folder = Path(migrate.__file__).parent / "migrations"
    for path in sorted([*folder.rglob("*.sql"), *folder.rglob("*.py")]):
        digest.update(path.read_bytes())
    return f"template_{digest.hexdigest()[:12]}"


def _drop_leftovers(admin: psycopg.Connection[Any], keep: str) -> None:
    """Drop databases of test processes that were killed, and templates that no session uses."""
    for (name,) in admin.execute("select datname from pg_database where datname ~ '^(test|template)_'").fetchall():
        if name.startswith("test_"):
            unused = not Path(f"/proc/{name.split('_')[1]}").exists()
        else:
            unused = name != keep and admin.execute("select pg_try_advisory_lock(hashtext(%s))", [name]).fetchone() == (
                True,
            )
        if unused:
            admin.execute("update pg_database set datistemplate = false where datname = %s", [name])
            admin.execute(f"drop database if exists {name} with (force)")


def _make_template(embedded: EmbeddedServer, admin: psycopg.Connection[Any], name: str) -> None:
    admin.execute("select pg_advisory_lock(1)")
    _drop_leftovers(admin, name)
    made = admin.execute("select 1 from pg_database where datname = %s and datistemplate", [name]).fetchone()
    if made is None:
        admin.execute(f"drop database if exists {name} with (force)")
        admin.execute(f"create database {name}")
        migrate.migrate(embedded.url(user="admin", database=name))
        admin.execute("update pg_database set datistemplate = true where datname = %s", [name])
    admin.execute("select pg_advisory_unlock(1)")


def pytest_configure() -> None:
    """Logs as in every process of Holdfast's. structlog's own way lays out every local variable of a traceback, which
    takes up to half a minute."""
    set_up_logs("debug", "json")


def pytest_collection_finish() -> None:
    """What was imported stays until the end: no collection walks through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that a test runs in this process sets up its logs: not those of the tests after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", trust.default_ssl_context)
        yield


@pytest.fixture(scope="session")
def pg_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    version = getattr(request, "param", "18")
    bin_dir = BIN_DIRS[version]
    if bin_dir:
        need_postgres_15()
    if other := os.environ.get(OTHER_POSTGRES):
        version, bin_dir = f"other-{hashlib.sha256(other.encode()).hexdigest()[:8]}", Path(other)
    template = _template_name()
    with (
        acquire(_made_folder() / version, settings=SETTINGS, bin_dir=bin_dir) as embedded,
        psycopg.connect(embedded.url(user="admin", database="postgres"), autocommit=True) as admin,
    ):
        admin.execute("select pg_advisory_lock_shared(hashtext(%s))", [template])  # in use, until we disconnect
        _make_template(embedded, admin, template)
        yield Server(version, embedded, template, admin)


@contextmanager
def _made(server: Server, template: str) -> Iterator[Database]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    server.admin.execute(f"drop database if exists {name} with (force)")
    server.admin.execute(f"create database {name} template {template} strategy file_copy")  # half the default's CPU
    try:
        yield Database(server, name)
    finally:
        server.admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def database(pg_server: Server) -> Iterator[Database]:
    with _made(pg_server, pg_server.template) as made:
        yield made


@pytest.fixture
def other_database(pg_server: Server) -> Iterator[Database]:
    """A second installation."""
    with _made(pg_server, pg_server.template) as made:
        yield made


@pytest.fixture
def empty_database(pg_server: Server) -> Iterator[Database]:
    with _made(pg_server, "template0") as made:
        yield made
