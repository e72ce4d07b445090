"""The application whose workers are killed. Imported by the nursery (which forks workers) and by the tests.

Every tool enters its effect into the *ledger*, an outside world of its own: a file with one line per arrival, written
with its idempotency key by one O_APPEND write, which a kill leaves whole or absent. `effect.done` is a crash point
after the ledger knows and before anyone else does; `stream.event` is one inside a streamed response.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, CallDeferred, ModelRetry, RunContext
from pydantic_ai.capabilities import ProcessEventStream
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset
from pydantic_ai.usage import UsageLimits

from holdfast import App, effect
from holdfast.testing import crash_point

GATE_S = 120
BIG_BYTES = 12_800
FOLDER = Path(os.environ.get("CRASH_FOLDER", "/nonexistent"))
MODEL = OpenAIChatModel(
    "scripted",
    provider=OpenAIProvider(base_url=os.environ.get("CRASH_MODEL_URL", "http://127.0.0.1:1/v1"), api_key="test"),
)


def enter(tool: str, args: dict[str, Any], key: str | None = None) -> None:
    """The effect arrives in the outside world."""
    current = effect.current()
    line = {
        "tool": tool,
        "key": key or current.key,
        "attempt": current.attempt,
        "run": str(current.run),
        "args": args,
        "pid": os.getpid(),
        "wall": time.time(),
    }
    ledger = os.open(FOLDER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, json.dumps(line).encode() + b"\n")
    finally:
        os.close(ledger)
    crash_point("effect.done")


def entered(key: str) -> bool:
    """Whether the ledger knows this key."""
    with (FOLDER / "ledger").open() as ledger:
        return any(json.loads(line)["key"] == key for line in ledger)


# --- tools: each returns what anyone could work out from its arguments ------------------------------------------------


def result_of(tool: str, n: int) -> str:
    return f"{tool} {n}"


@effect.idempotent
async def add(n: int) -> str:
    enter("add", {"n": n})
    return result_of("add", n)


@effect.idempotent
def add_in_thread(n: int) -> str:
    enter("add_in_thread", {"n": n})
    return result_of("add_in_thread", n)


@effect.once
async def pay(n: int) -> str:
    enter("pay", {"n": n})
    return result_of("pay", n)


@effect.pure
async def look(n: int) -> str:
    await asyncio.sleep(0)
    return result_of("look", n)


@effect.pure
async def read_file(n: int) -> str:
    """A big piece of content, unlike any other."""
    return f"{n} " + "".join(hashlib.sha256(f"{n} {part}".encode()).hexdigest() for part in range(BIG_BYTES // 64))


def was_sent(found: Any, n: int) -> Any:
    return effect.Happened(result_of("send", n)) if entered(found.key) else effect.NotHappened()


@effect.reconcile(probe=was_sent)
async def send(n: int) -> str:
    enter("send", {"n": n})
    return result_of("send", n)


@effect.idempotent
async def slow(n: int) -> str:
    """Waits, once it was entered, until the test opens the gate."""
    enter("slow", {"n": n})
    await gate_opened()
    enter("slow-ended", {"n": n})
    return result_of("slow", n)


@effect.once
async def slow_pay(n: int) -> str:
    """As `slow`, but not to be run again."""
    enter("slow_pay", {"n": n})
    await gate_opened()
    enter("slow_pay-ended", {"n": n})
    return result_of("slow_pay", n)


async def gate_opened() -> None:
    until = time.monotonic() + GATE_S
    while not (FOLDER / "go").exists():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def wire(n: int) -> str:
    """Undeclared, hence `once`; asks for approval."""
    enter("wire", {"n": n})
    return result_of("wire", n)


@effect.idempotent
async def ask_person(n: int) -> str:
    """Has no result of its own: the person behind the run gives it."""
    enter("ask_person", {"n": n})
    raise CallDeferred(kind="question")


outside = ExternalToolset[Any]([ToolDefinition(name="measure", parameters_json_schema={"type": "object"})])


@effect.idempotent
async def flaky(ctx: RunContext[Any], n: int) -> str:
    """Asks the model to try again, once for each argument."""
    if ctx.retry == 0:
        raise ModelRetry(f"not {n} yet")
    enter("flaky", {"n": n})
    return result_of("flaky", n)


# --- agents -----------------------------------------------------------------------------------------------------------


class Report(BaseModel):
    lines: list[str]
    final: bool


async def on_stream(_: RunContext[Any], events: AsyncIterable[AgentStreamEvent]) -> None:
    async for _event in events:
        crash_point("stream.event")


def agent(*tools: Any, **options: Any) -> Agent[Any, Any]:
    return Agent(MODEL, tools=list(tools), **options)


helper = agent(add, pay, name="helper")


@effect.delegate
async def ask_helper(ctx: RunContext[Any], topic: str) -> str:
    return (await helper.run(topic, usage=ctx.usage)).output


approving = agent(add)
approving.tool_plain(wire, requires_approval=True)

checked = agent(flaky, output_type=Report, retries=3)


@checked.output_validator
async def is_final(report: Report) -> Report:
    if not report.final:
        raise ModelRetry("not final")
    return report


TASKS: dict[str, dict[str, Any]] = {
    "sequential": {"agent": agent(add, pay, look, send), "stream": False},
    "parallel": {"agent": agent(add, add_in_thread, pay, look, send), "stream": False},
    "stream": {"agent": agent(add, look, capabilities=[ProcessEventStream(on_stream)]), "stream": True},
    "approval": {"agent": approving, "stream": False},
    "question": {"agent": agent(ask_person, add, toolsets=[outside]), "stream": False},
    "delegate": {"agent": agent(ask_helper, add), "agents": [helper], "stream": False},
    "retry": {"agent": checked, "stream": False},
    "slow": {"agent": agent(slow, add), "stream": False},
    "slow_pay": {"agent": agent(slow_pay, add), "stream": False},
    "beside": {"agent": agent(pay, slow), "stream": False},
    "chat": {"agent": agent(read_file), "usage_limits": UsageLimits(request_limit=None), "stream": False},
}
SCENARIOS = ("sequential", "parallel", "stream", "approval", "question", "delegate", "retry")


def app_of(tasks: Sequence[str], version: str = "1") -> App:
    """An app with these tasks: `<scenario>`, or `<scenario>.<lane>`, the same under a name that one worker serves."""
    app = App("crash-tests")
    for name in tasks:
        app.task(name, version=version, undeclared="run", **TASKS[name.partition(".")[0]])
    return app
