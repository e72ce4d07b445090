"""The seam in two capabilities does for a plain agent all that it does in one: the contract, in the other shape."""

import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.models.test import TestModel
from tests.engine.test_seam_approvals import *  # noqa: F403
from tests.engine.test_seam_replay import *  # noqa: F403

from holdfast.engine import seam, turns


@pytest.fixture(autouse=True)
def as_pair(request, monkeypatch):
    if request.node.name != "test_only_agents_with_nothing_to_bracket_get_one":
        monkeypatch.setattr(seam, "has_own_capabilities", lambda _agent: True)
        monkeypatch.setattr(turns, "may_go_short", lambda _task: False)


def look_up() -> str:
    return "found"


class Own(AbstractCapability[object]):
    pass


def test_only_agents_with_nothing_to_bracket_get_one():
    assert not seam.has_own_capabilities(Agent(TestModel()))
    assert not seam.has_own_capabilities(Agent(TestModel(), tools=[look_up]))
    assert seam.has_own_capabilities(Agent(TestModel(), capabilities=[Own()]))
