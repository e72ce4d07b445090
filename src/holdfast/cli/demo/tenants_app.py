"""The agent of `holdfast demo tenants`: one for all companies; what only one may read comes with the run."""

from __future__ import annotations

from pydantic_ai import Agent, RunContext

from holdfast import App, RunScope, effect

agent = Agent("openai:gpt-5", deps_type=str, instructions="You answer questions about the plans of the company.")


@agent.tool
@effect.pure
def look_up_plans(ctx: RunContext[str]) -> str:
    """The plans of the company that asks."""
    return ctx.deps


def plans(scope: RunScope) -> str:
    """What only this tenant may read: in life, a query of its own database."""
    return f"secret plans of tenant {scope.tenant}"


app = App("demo")
app.task("plans", agent=agent, deps=plans)
