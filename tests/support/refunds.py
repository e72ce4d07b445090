"""The bank's refunds, as policies see them: three tools, and the policy of the design."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic_ai import Agent

from holdfast import App, effect, governed
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Facts
from holdfast.guards.policy import Policy, load

REFUNDS = Path(__file__).with_name("refunds.cedar").read_text()
USER = frozenset({"user"})
UNTRUSTED = frozenset({"user", "untrusted"})


def external_recipients(to: list[str]) -> set[str]:
    return {address for address in to if not address.endswith("@bank.example")}


def refund_app(**options: Any) -> App:
    agent = Agent("test")

    @agent.tool_plain
    @effect.pure
    def get_order(order_id: str, full: bool = False) -> str:
        return ""

    @agent.tool_plain
    @effect.idempotent
    @governed(group="money", risk="high", tallies={"refunded_today": "amount"})
    def issue_refund(order_id: str, amount: Decimal, note: str | None = None) -> str:
        return ""

    @agent.tool_plain
    @governed(facts={"external_recipients": external_recipients})
    def send_email(to: list[str], body: str) -> str:
        return ""

    app = App("bank", **options)
    app.task("support", agent=agent)
    return app


VOCABULARY = refund_app().vocabulary()


def refund_policy(text: str = REFUNDS) -> Policy:
    return load(text, VOCABULARY)


def facts(**given: Any) -> Facts:
    """A user in production at noon, who said everything."""
    usual = {
        "principal": "ann",
        "roles": frozenset({Role.USER}),
        "task": "support",
        "env": "prod",
        "local_hour": 12,
        "local_weekday": 3,
        "tallies": {"refunded_today": 0},
        "labels": {"to": USER, "body": USER, "amount": USER, "order_id": USER},
    }
    return Facts(**usual | given)
