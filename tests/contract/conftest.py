"""The store's contract runs on the embedded PostgreSQL 18 and on an outside 15."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.store_scene import Scene


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pg_server" in metafunc.fixturenames:
        metafunc.parametrize("pg_server", ["18", "15"], indirect=True, scope="session")


@pytest.fixture
def scene(database: Any) -> Iterator[Scene]:
    made = Scene(database)
    yield made
    made.close()
