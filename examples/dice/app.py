"""A game of dice: the player guesses, the agent rolls.

    holdfast run examples/dice/app.py:app dice "I say 4"

Two tools, one of which wants to know who is playing. Without OPENAI_API_KEY a scripted stand-in on this machine
takes the model's place.
"""

import os
import random
from pathlib import Path

from pydantic_ai import Agent, RunContext

from holdfast import App, RunScope, effect
from holdfast.testing import ModelServer, load_routes

if not os.environ.get("OPENAI_API_KEY"):
    stand_in = ModelServer(load_routes(Path(__file__).with_name("script.yaml"))).start()
    os.environ.update(stand_in.env())

agent = Agent(
    "openai:gpt-5",
    deps_type=str,
    instructions=(
        "You run a game of dice. Roll the die once, then tell the player by name what it shows and whether "
        "their guess was right."
    ),
)


@agent.tool_plain
@effect.pure
def roll_die() -> int:
    """Roll a die with six faces."""
    # Pure: nothing outside changes, so a roll that a crash cut short may be rolled again. A roll that was
    # finished is in the journal and never is.
    return random.randint(1, 6)


@agent.tool
@effect.pure
def player_name(ctx: RunContext[str]) -> str:
    """The name of the player."""
    return ctx.deps


def player(scope: RunScope) -> str:
    """Who plays: whoever asked for the run."""
    return scope.principal.name.capitalize()


app = App("dice")
app.task("dice", agent=agent, deps=player)
