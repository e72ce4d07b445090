"""What the command line's tests run: agents whose model is a function."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import watchfiles
from pydantic import BaseModel
from pydantic_ai import Agent, ApprovalRequired, CallDeferred, RunContext
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from holdfast import App, EscalationPath, Limits, effect


class Order(BaseModel):
    item: str
    count: int


def _last(messages: list[ModelMessage]) -> Any:
    request = messages[-1]
    assert isinstance(request, ModelRequest)
    return request.parts[-1]


async def _test_says_go() -> None:
    Path("waiting").touch()  # noqa: ASYNC240 - a touch blocks for no time worth a thread
    async for _ in watchfiles.awatch(".", yield_on_timeout=True, rust_timeout=500):
        if Path("go").exists():  # noqa: ASYNC240
            return


def _echo(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[TextPart(f"You said {_last(messages).content}")])


def _calls(tool: str, **args: Any) -> FunctionModel:
    """A model that calls one tool and then says what it returned."""

    def answer(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        part = _last(messages)
        if isinstance(part, ToolReturnPart):
            return ModelResponse(parts=[TextPart(f"It says: {part.content}")])
        return ModelResponse(parts=[ToolCallPart(tool, args)])

    return FunctionModel(answer)


echo = Agent(FunctionModel(_echo))
payer = Agent(_calls("pay", amount=5))
mailer = Agent(_calls("send"))
breaker = Agent(_calls("fail"))
waiter = Agent(_calls("wait"))
stayer = Agent(_calls("stay"))


@payer.tool
@effect.idempotent
def pay(ctx: RunContext[object], amount: int) -> str:
    if not ctx.tool_call_approved:
        raise ApprovalRequired
    return f"paid {amount}"


@mailer.tool_plain
@effect.once
def send() -> str:
    """Dies in the middle, once: nobody can know whether the letter went out."""
    died = Path("died")
    if not died.exists():
        died.touch()
        os._exit(9)
    return "sent again"


@breaker.tool_plain
@effect.once
def fail() -> str:
    raise RuntimeError("the printer is on fire")


@waiter.tool_plain
@effect.pure
async def wait() -> str:
    """Takes as long as the test wants."""
    await _test_says_go()
    return "waited"


@stayer.tool_plain
@effect.pure
async def stay() -> str:
    """Does not end when it is told to."""
    while True:
        with suppress(asyncio.CancelledError):
            await _test_says_go()
            return "stayed"


printer = Agent(_calls("print_it"))


@printer.tool_plain
@effect.once
def print_it() -> str:
    raise RuntimeError("tray 2 is empty")


asker = Agent(_calls("ask", text="Which colour?"))


@asker.tool_plain
@effect.pure
def ask(text: str) -> str:
    raise CallDeferred(metadata={"choices": ["red", "blue"]}, kind="question")


app = App("shop")
app.task("ask", agent=asker, stream=False)
app.task("echo", agent=echo, stream=False)
app.task("order", agent=echo, input=Order, stream=False)
app.task("pay", agent=payer, stream=False)
app.task("send", agent=mailer, stream=False)
app.task("break", agent=breaker, stream=False)
app.task("wait", agent=waiter, stream=False)
app.task("stay", agent=stayer, stream=False)
app.task("few", agent=payer, stream=False, limits=Limits(model_requests=1, tokens=100_000))
app.task("print", agent=printer, stream=False, escalation=EscalationPath(), terminal=KeyError)
