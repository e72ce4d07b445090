"""One capability does for a plain agent all that the short road does: the contract, on the long road from the start."""

import pytest
from tests.engine.test_seam_approvals import *  # noqa: F403
from tests.engine.test_seam_effects import *  # noqa: F403
from tests.engine.test_seam_losing import *  # noqa: F403
from tests.engine.test_seam_replay import *  # noqa: F403
from tests.engine.test_seam_signals import *  # noqa: F403

from holdfast.engine import turns


@pytest.fixture(autouse=True)
def no_short_road(monkeypatch):
    monkeypatch.setattr(turns, "may_go_short", lambda _task: False)
