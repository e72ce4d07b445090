"""A PostgreSQL server of one test's own, which it may kill."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from holdfast.embedded import EmbeddedServer, acquire, status
from holdfast.store.migrate import migrate


@dataclass(frozen=True)
class PrivateDatabase:
    """A database on a server of this test's own, which it may kill."""

    server: EmbeddedServer
    data_dir: Path

    def url_of(self, role: str) -> str:
        return self.server.url(user=role, database="postgres")

    @property
    def admin_url(self) -> str:
        return self.url_of("admin")

    @property
    def worker_url(self) -> str:
        return self.url_of("holdfast_worker")

    @property
    def api_url(self) -> str:
        return self.url_of("holdfast_api")

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


@pytest.fixture
def private_database(tmp_path: Path) -> Iterator[PrivateDatabase]:
    tmp_path.chmod(0o755)
    for above in itertools.islice(tmp_path.parents, 2):
        above.chmod(0o755)  # as root, PostgreSQL runs as another user, who has to come through here
    with acquire(tmp_path / "pg", settings={"shared_buffers": "32MB"}) as server:
        database = PrivateDatabase(server, tmp_path / "pg")
        migrate(database.admin_url)
        yield database
