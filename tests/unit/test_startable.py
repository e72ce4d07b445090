"""Which agents have a model, as far as can be known without making one."""

import pytest
from pydantic_ai import Agent
from pydantic_ai.agent import WrapperAgent
from pydantic_ai.capabilities import SelectModel
from pydantic_ai.models.test import TestModel

from holdfast.app import App
from holdfast.domain.errors import ModelMissing
from holdfast.engine.startable import check_models


def app_of(agent, **more):
    app = App("a")
    app.task("t", agent=agent, **more)
    return app


@pytest.mark.parametrize(
    "agent",
    [
        Agent(TestModel()),
        Agent("openai:gpt-5", defer_model_check=True),  # no key is set: the provider would refuse to be made
        Agent(capabilities=[SelectModel(lambda _: TestModel())]),
        WrapperAgent(Agent("test")),
    ],
    ids=["a model", "a name", "selected by a capability", "wrapped"],
)
def test_an_agent_with_a_model_may_start(agent, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    check_models(app_of(agent))


@pytest.mark.parametrize("agent", [Agent(), WrapperAgent(Agent())], ids=["plain", "wrapped"])
def test_an_agent_without_a_model_may_not(agent):
    with pytest.raises(ModelMissing, match="'t': its agent has no model"):
        check_models(app_of(agent))


def test_a_model_may_come_after_the_task():
    agent = Agent()
    app = app_of(agent)
    with agent.override(model=TestModel()):
        check_models(app)
    with pytest.raises(ModelMissing):
        check_models(app)
    agent.model = "openai:gpt-5"
    check_models(app)


def test_a_sub_agent_needs_one_of_its_own():
    with pytest.raises(ModelMissing, match="sub-agent 'agent0'"):
        check_models(app_of(Agent("test"), agents=[Agent()]))
