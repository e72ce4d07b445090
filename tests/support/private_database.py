"""A database on a server of a test's own, which it may kill."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.embedded import EmbeddedServer, acquire, status, until_stopped
from holdfast.store.migrate import migrate
from support.logins import Logins
from support.tools import need


@dataclass(frozen=True)
class PrivateDatabase(Logins):
    """The server, and how it is reached."""

    server: EmbeddedServer
    data_dir: Path

    def url_of(self, role: str) -> str:
        return self.server.url(user=role, database="postgres")

    @property
    def url(self) -> str:
        """Without a login: each process has its own."""
        named = conninfo_to_dict(self.admin_url)
        return make_conninfo(**{name: value for name, value in named.items() if name != "user"})

    def kill(self, number: int) -> int:
        """Signal the postmaster; its pid."""
        pid = status(self.data_dir).pid
        assert pid is not None
        os.kill(pid, number)
        return pid

    def is_back(self, after: int) -> bool:
        found = status(self.data_dir)
        if not found.running or found.pid == after:
            return False
        try:
            psycopg.connect(self.admin_url).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def serving(settings: Mapping[str, str], bin_dir: Path | None = None) -> Iterator[PrivateDatabase]:
    """One in a folder of its own. Not in pytest's, which every session that begins shuts to others: as root, PostgreSQL
    runs as another user, who has to come through it.
    """
    if bin_dir is not None:
        need(bin_dir / "initdb", "install-postgres15")
    with tempfile.TemporaryDirectory(prefix="holdfast-tests-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        try:
            with acquire(folder / "pg", settings={**settings}, bin_dir=bin_dir) as server:
                database = PrivateDatabase(server, folder / "pg")
                migrate(database.admin_url)
                yield database
        finally:
            # It ends on its own time, and what it still writes would keep the folder from being removed.
            assert until_stopped(folder / "pg"), "the server has not stopped"


@pytest.fixture
def private_database() -> Iterator[PrivateDatabase]:
    with serving({"shared_buffers": "32MB"}) as database:
        yield database
