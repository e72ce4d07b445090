"""What `holdfast.testing` ships besides the model server."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.models.test import TestModel

from holdfast import UserError, effect
from holdfast.testing import DependenciesChanged, FakeClock, WatchDependencies, effect_scope


@dataclass
class Deps:
    seen: list[str] = field(default_factory=list)
    client: Any = field(default_factory=object)


def agent(body: Any) -> Agent[Deps, str]:
    made = Agent(TestModel(), deps_type=Deps)
    made.tool(body)
    return made


async def test_a_tool_that_changes_its_dependencies_is_named():
    def remember(ctx: RunContext[Deps]) -> str:
        ctx.deps.seen.append("x")
        return "ok"

    with pytest.raises(DependenciesChanged, match=r"'remember' changed ctx\.deps\.seen"):
        await agent(remember).run("hi", deps=Deps(), capabilities=[WatchDependencies()])


async def test_a_tool_that_only_reads_them_passes():
    def look(ctx: RunContext[Deps]) -> str:
        return ",".join(ctx.deps.seen)

    result = await agent(look).run("hi", deps=Deps(["a"]), capabilities=[WatchDependencies()])
    assert result.output


def test_an_effect_scope_gives_a_tool_its_key():
    with pytest.raises(UserError, match="effect_scope"):
        effect.key()
    with effect_scope("k1") as scope:
        assert effect.key() == scope.key == "k1"
    with pytest.raises(UserError):
        effect.key()


def test_a_fake_clock_moves_the_databases_clock_and_gives_it_back(database):
    with FakeClock(database.admin_url) as clock:
        before = clock.now()
        clock.advance(3600)
        assert 3599 < (clock.now() - before).total_seconds() < 3700
    assert abs((FakeClock(database.admin_url).now() - before).total_seconds()) < 100
