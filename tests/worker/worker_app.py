"""The application that worker tests serve. It tells what happens through files in HOLDFAST_TEST_DIR.

`ledger` gets one line for each thing done: `<what> <run> <pid>`. A tool that holds waits until the file `go` is there.
"""

import asyncio
import os
import time
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from holdfast import App, effect

FOLDER = Path(os.environ["HOLDFAST_TEST_DIR"])
GIVE_UP_S = 120


def record(what: str) -> None:
    with (FOLDER / "ledger").open("a") as ledger:
        ledger.write(f"{what} {effect.current().run} {os.getpid()}\n")


def is_open() -> bool:
    return (FOLDER / "go").exists()


def calls_in_turn(*tools: str) -> FunctionModel:
    """A model that calls these tools one after another and then says `done`."""

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        returned = sum(isinstance(part, ToolReturnPart) for message in messages for part in message.parts)
        if returned < len(tools):
            return ModelResponse(parts=[ToolCallPart(tools[returned], {}, f"call-{returned}")])
        return ModelResponse(parts=[TextPart("done")])

    return FunctionModel(respond, model_name="scripted")


@effect.idempotent
async def hold() -> str:
    """Wait for the gate; may be run again."""
    return await _held("hold")


@effect.once
async def pay() -> str:
    """Wait for the gate; must not be run again."""
    return await _held("pay")


async def _held(name: str) -> str:
    record(f"{name}-began")
    until = time.monotonic() + GIVE_UP_S
    while not is_open():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    record(f"{name}-ended")
    return "held"


@effect.pure
async def block() -> str:
    """Block the event loop until the gate opens; only the first process that comes here."""
    record("block-began")
    try:
        (FOLDER / "blocked").touch(exist_ok=False)
    except FileExistsError:
        return "someone else is blocked"
    until = time.monotonic() + GIVE_UP_S
    while not is_open():
        assert time.monotonic() < until
        time.sleep(0.01)  # noqa: ASYNC251 - blocking is what this tool is for
    record("block-ended")
    return "blocked"


@effect.pure
async def note() -> str:
    record("note")
    return "noted"


def agent(*tools) -> Agent:
    return Agent(calls_in_turn(*(tool.__name__ for tool in tools)), tools=list(tools))


app = App("worker-tests")
app.task("quick", agent=agent(note), stream=False)
app.task("hold", agent=agent(hold, note), stream=False)
app.task("one-slot", agent=agent(hold, note), stream=False, slots=1)
app.task("pay", agent=agent(pay, note), stream=False)
app.task("block", agent=agent(block, note), stream=False)
app.task("wedge", agent=agent(block, note), stream=False, tool_timeout_s=1.5)
