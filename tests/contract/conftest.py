"""The store's contract runs on the embedded PostgreSQL 18 and on an outside 15, or on another that is named."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from support.store_scene import Scene
from support.tools import OTHER_POSTGRES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pg_server" in metafunc.fixturenames:
        versions = ["18"] if os.environ.get(OTHER_POSTGRES) else ["18", "15"]
        metafunc.parametrize("pg_server", versions, indirect=True, scope="session")


@pytest.fixture
def scene(database: Any) -> Iterator[Scene]:
    made = Scene(database)
    yield made
    made.close()
