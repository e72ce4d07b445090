"""The agents of `holdfast demo tenants`: the same for all companies. None of their tools says whose rows it wants."""

from __future__ import annotations

import psycopg
from pydantic_ai import Agent, RunContext

from holdfast import App, RunScope, effect
from holdfast.cli.demo.prying import PRYING

agent = Agent("openai:gpt-5", deps_type=RunScope, instructions="You answer questions about the plans of the company.")
nosy = Agent("openai:gpt-5", deps_type=RunScope, instructions="You find out what others plan.")


@agent.tool
@effect.pure
async def look_up_plans(ctx: RunContext[RunScope]) -> str:
    """All plans that there are. Whose they may be is for the database to know."""
    async with ctx.deps.connection() as connection:
        rows = await (await connection.execute("select plan from plans")).fetchall()
    return "; ".join(plan for (plan,) in rows)


@nosy.tool
@effect.once
async def pry(ctx: RunContext[RunScope], other: str) -> dict[str, str]:
    """Try to get at what is another tenant's, and tell what came back."""
    found: dict[str, str] = {}
    for what, statement in PRYING:
        async with ctx.deps.connection() as connection:
            try:
                cursor = await connection.execute(statement.format(other=other))
                while cursor.nextset():
                    pass
                found[what] = f"{cursor.rowcount} rows"
            except psycopg.Error as error:
                found[what] = f"refused: {error.diag.message_primary}"
                await connection.rollback()
    return found


@agent.tool_plain
@effect.once
async def read_aloud(text: str) -> str:
    """A tool whose error tells what it was given."""
    raise RuntimeError(f"This cannot be read aloud: {text}")


def the_run(scope: RunScope) -> RunScope:
    """The run, to whose tenant the connection is."""
    return scope


app = App("demo")
app.task("plans", agent=agent, deps=the_run)
app.task("pry", agent=nosy, deps=the_run)
