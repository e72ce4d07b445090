"""Two tenants by SQL alone: `scene` is the database, `two` has a row of each in every table."""

from collections.abc import Iterator
from typing import Any

import pytest
from two_tenants import Two, fill

from support.store_scene import Scene


@pytest.fixture
def scene(database: Any) -> Iterator[Scene]:
    made = Scene(database)
    yield made
    made.close()


@pytest.fixture
def two(scene: Scene) -> Two:
    return fill(scene)
