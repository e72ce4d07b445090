"""The demo's application: an ordinary Pydantic AI agent with tools that act on a bank over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, ApprovalRequired, RunContext

from holdfast import App, effect
from holdfast.cli.demo.bank_client import bank

APPROVAL_ABOVE = Decimal(100)


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
    return bank("GET", "/account")


@agent.tool_plain
@effect.idempotent
def block_card(reason: str) -> str:
    """Block the customer's card."""
    bank("POST", "/block", {"reason": reason})
    return "The card is blocked."


@agent.tool
@effect.idempotent
def issue_refund(ctx: RunContext[object], payment: str, amount: Decimal) -> dict[str, Any]:
    """Give a payment back."""
    if amount > APPROVAL_ABOVE and not ctx.tool_call_approved:
        raise ApprovalRequired
    return bank("POST", "/refunds", {"payment": payment, "amount": str(amount)}, key=effect.key())


app = App("demo")
app.task("support", agent=agent)
