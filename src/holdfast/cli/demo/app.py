"""The demo's application: an ordinary Pydantic AI agent with tools that act on a bank over HTTP."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

from pydantic import BaseModel
from pydantic_ai import Agent, ApprovalRequired, RunContext

from holdfast import App, effect

APPROVAL_ABOVE = Decimal(100)
_TIMEOUT_S = 60.0


class Answer(BaseModel):
    """What the customer is told."""

    reply: str
    card_blocked: bool


agent = Agent(
    "openai:gpt-5",
    output_type=Answer,
    instructions="You answer customers of a bank. Block lost cards. Give back payments the customer did not make.",
)


@agent.tool_plain
@effect.pure
def look_at_account() -> dict[str, Any]:
    """The balance, the latest payments, and whether the card is blocked."""
    return _bank("GET", "/account")


@agent.tool_plain
@effect.idempotent
def block_card(reason: str) -> str:
    """Block the customer's card."""
    _bank("POST", "/block", {"reason": reason})
    return "The card is blocked."


@agent.tool
@effect.idempotent
def issue_refund(ctx: RunContext[object], payment: str, amount: Decimal) -> dict[str, Any]:
    """Give a payment back."""
    if amount > APPROVAL_ABOVE and not ctx.tool_call_approved:
        raise ApprovalRequired
    return _bank("POST", "/refunds", {"payment": payment, "amount": str(amount)}, key=effect.key())


def _bank(method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    request = Request(  # noqa: S310 - the demo's own bank, on loopback
        os.environ["BANK_URL"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers=headers,
        method=method,
    )
    with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
        return json.load(response)


app = App("demo")
app.task("support", agent=agent)
