"""The store's contract runs on the embedded PostgreSQL 18 and on an outside 15."""

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pg_server" in metafunc.fixturenames:
        metafunc.parametrize("pg_server", ["18", "15"], indirect=True, scope="session")
