"""The support agent of a bank: an ordinary Pydantic AI agent.

The only thing it owes to Holdfast is the decorator above each tool, which says how the tool may be recovered
after a crash.
"""

import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ledger import Ledger
from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, RunContext

from holdfast import effect, governed
from holdfast.testing import ModelServer, load_routes

if not os.environ.get("OPENAI_API_KEY"):
    stand_in = ModelServer(load_routes(Path(__file__).with_name("script.yaml"))).start()
    os.environ.update(stand_in.env())


@dataclass
class Deps:
    """What the tools need: which customer is asking, and their bank."""

    customer: str
    ledger: Ledger


class Balance(BaseModel):
    """What is on the account, and whether its card works."""

    amount: Decimal
    card_blocked: bool


class Refund(BaseModel):
    """Money given back."""

    amount: Decimal
    reason: str


class SupportOutput(BaseModel):
    """What the customer is told, and what the bank keeps of it."""

    reply: str = Field(min_length=1, description="What to tell the customer.")
    card_blocked: bool = Field(description="Whether the card is blocked now.")
    risk: int = Field(ge=0, le=10, description="How likely somebody else is using the account.")


support_agent = Agent(
    "openai:gpt-5",
    deps_type=Deps,
    output_type=SupportOutput,
    instructions=(
        "You answer customers of a bank. Look at the account before you say anything about it. If a card is lost or "
        "stolen, block it at once and give back the 12.00 that a new one costs. Give back payments that the customer "
        "did not make."
    ),
)


@support_agent.tool
@effect.pure
def customer_balance(ctx: RunContext[Deps]) -> Balance:
    """The customer's balance, and whether the card is blocked."""
    account = ctx.deps.ledger.account(ctx.deps.customer)
    return Balance(amount=account.balance, card_blocked=account.card_blocked)


@support_agent.tool
@effect.idempotent
def block_card(ctx: RunContext[Deps], reason: str) -> str:
    """Block the customer's card."""
    ctx.deps.ledger.block_card(ctx.deps.customer, reason)
    return "The card is blocked."


@support_agent.tool
@effect.idempotent
@governed(tallies={"refunded_today": "amount"})
def issue_refund(ctx: RunContext[Deps], amount: Decimal, reason: str) -> Refund:
    """Pay money back to the customer."""
    if amount <= 0:
        raise ModelRetry("Only an amount above zero can be paid back.")
    # The key is the same however often this call is made again after a crash: the ledger books it once.
    booked = ctx.deps.ledger.credit(effect.key(), ctx.deps.customer, amount, reason)
    return Refund(amount=booked.amount, reason=booked.reason)


@support_agent.output_validator
def says_what_is_so(ctx: RunContext[Deps], output: SupportOutput) -> SupportOutput:
    """Send the answer back if it tells the customer something about the card that is not so."""
    blocked = ctx.deps.ledger.account(ctx.deps.customer).card_blocked
    if output.card_blocked != blocked:
        raise ModelRetry(f"The card is {'blocked' if blocked else 'not blocked'}; correct the answer.")
    return output
