"""Fixtures for real servers and the processes that hold them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedded_processes import FAST, Holder, until_gone

from holdfast.embedded import EmbeddedServer, acquire


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory that does not exist yet; afterwards nothing may run on it."""
    path = tmp_path / "pg"
    yield path
    until_gone(path)


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Iterator[Callable[..., Holder]]:
    """Start holder processes; those left are ended with the test."""
    holders: list[Holder] = []

    def start(path: Path | None = None, **options) -> Holder:
        holders.append(Holder(path or request.getfixturevalue("data_dir"), **options))
        return holders[-1]

    yield start
    for holder in holders:
        holder.close()


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedServer]:
    with acquire(data_dir, settings=FAST) as held:
        yield held
