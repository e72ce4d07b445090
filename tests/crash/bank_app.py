"""The application whose workers are killed between a policy's question and the bank's payment."""

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bank import Bank, Entry
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from holdfast import App, effect
from holdfast.domain.approving import Approving
from holdfast.testing import crash_point

FOLDER = Path(os.environ.get("CRASH_FOLDER", "/nonexistent"))
MODEL = OpenAIChatModel(
    "scripted",
    provider=OpenAIProvider(base_url=os.environ.get("CRASH_MODEL_URL", "http://127.0.0.1:1/v1"), api_key="test"),
)
OWN_POINTS = ("bank.calling", "bank.paid")


def paid(tool: str, order: str, amount: object) -> str:
    """What a tool answers once the bank has paid."""
    return f"{tool} of {amount} for {order}"


def _pay(tool: str, order: str, amount: Decimal) -> str:
    current = effect.current()
    crash_point("bank.calling")
    Bank(FOLDER / "bank").pay(
        Entry(current.key, tool, order, str(amount)), run=str(current.run), attempt=current.attempt, pid=os.getpid()
    )
    crash_point("bank.paid")
    return paid(tool, order, amount)


@effect.idempotent
async def refund(order: str, amount: Decimal) -> str:
    return _pay("refund", order, amount)


@effect.once
async def wire(order: str, amount: Decimal) -> str:
    return _pay("wire", order, amount)


def was_transferred(found: Any, order: str, amount: Decimal) -> Any:
    known = Bank(FOLDER / "bank").has_paid(found.key)
    return effect.Happened(paid("transfer", order, amount)) if known else effect.NotHappened()


@effect.reconcile(probe=was_transferred)
async def transfer(order: str, amount: Decimal) -> str:
    return _pay("transfer", order, amount)


teller: Agent[None, str] = Agent(MODEL, tools=[refund, wire, transfer])

TASKS = {
    "patient": None,
    "hasty": Approving(expires_s=1.5),
    "strict": Approving(expires_s=1.5, on_expiry="fail_run"),
}
"""How long each waits for people, and what follows."""


def app_of(tasks: Sequence[str], version: str = "1", policy: Path = FOLDER / "policy.cedar") -> App:
    """The tellers: all alike but for how long they wait."""
    app = App("bank", policy=policy)
    for name in tasks:
        app.task(name, version=version, agent=teller, approving=TASKS[name], stream=False)
    return app
