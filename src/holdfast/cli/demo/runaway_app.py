"""The agent of `holdfast demo runaway`: it asks for the weather, and never stops. Four tasks run it, each with less to
stop it than the one before.
"""

from __future__ import annotations

from pydantic_ai import Agent

from holdfast import App, Limits, effect

agent = Agent("openai:gpt-5", instructions="Say what to wear today.", model_settings={"max_tokens": 200})


@agent.tool_plain
@effect.pure
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


app = App("runaway")
app.task("watched", agent=agent)
app.task("counted", agent=agent, loops=None, limits=Limits(steps=9))
app.task("priced", agent=agent, loops=None, limits=Limits(cost_usd="0.006"))
app.task("loose", agent=agent, loops=None)
