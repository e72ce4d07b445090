"""How many verdicts a policy gives in a second of CPU: the bank's refunds, no two calls alike."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent

from bench.meter import cpu_s
from bench.row import Row
from holdfast import App, effect, governed
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Decision, Facts
from holdfast.guards.policy import Policy, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.place import Place

ROUNDS = 5
CALLS = 2000
TEXT = """
permit (principal, action in Action::"reads", resource);
permit (principal in Role::"user", action in Action::"writes", resource);
@ask("user") forbid (principal, action == Action::"issue_refund", resource)
when { context.args.amount.greaterThan(decimal("100.00")) };
@ask("two admins") forbid (principal, action == Action::"issue_refund", resource)
when { context.args.amount.greaterThan(decimal("1000.00"))
  || context.run.refunded_today.greaterThan(decimal("2000.00")) };
forbid (principal, action == Action::"issue_refund", resource)
when { context.run.env == Env::"prod" && (context.run.local_hour >= 22 || context.run.local_hour < 6) };
forbid (principal, action == Action::"send_email", resource) when { context.labels.to.contains(Label::"untrusted") };
"""
SAID = frozenset({"user"})
FACTS = Facts(
    principal="ann",
    roles=frozenset({Role.USER}),
    task="support",
    env="prod",
    local_hour=12,
    local_weekday=3,
    tallies={"refunded_today": 0},
    labels={"order_id": SAID, "amount": SAID, "to": SAID, "body": SAID},
)


def refund_policy() -> Policy:
    """The policy, and the tools that it is about."""
    agent: Agent[None, str] = Agent("test")

    @agent.tool_plain
    @effect.pure
    def get_order(order_id: str) -> str:
        return order_id

    @agent.tool_plain
    @effect.idempotent
    @governed(tallies={"refunded_today": "amount"})
    def issue_refund(order_id: str, amount: Decimal) -> str:
        return f"{order_id}: {amount}"

    @agent.tool_plain
    def send_email(to: list[str], body: str) -> str:
        return f"{to}: {body}"

    app = App("bench")
    app.task("support", agent=agent)
    return load(TEXT, app.vocabulary())


def _refund(least: int) -> Callable[[int], tuple[str, dict[str, Any]]]:
    return lambda n: ("issue_refund", {"order_id": f"A-{n}", "amount": Decimal(least) + Decimal(n) / 10_000})


KINDS: dict[str, tuple[Callable[[int], tuple[str, dict[str, Any]]], Decision]] = {
    "allowed by amount": (_refund(50), Decision.ALLOW),
    "two asked by amount": (_refund(5000), Decision.ASK),
    "allowed by label": (lambda n: ("send_email", {"to": [f"{n}@bank.example"], "body": "x" * n}), Decision.ALLOW),
    "free": (lambda n: ("get_order", {"order_id": f"A-{n}"}), Decision.ALLOW),
}


async def rows(_place: Place, *, quick: bool = False) -> list[Row]:
    """As many of each kind; the best of several rounds, since what else the machine does only slows it down."""
    policy = refund_policy()
    best_us: dict[str, float] = {}
    for name, (call, decision) in KINDS.items():
        calls = [call(n) for n in range(100 if quick else CALLS)]
        took = list[float]()
        for _ in range(1 if quick else ROUNDS):
            at = cpu_s()
            for tool, args in calls:
                assert policy.verdict(tool, args, FACTS).decision is decision
            took.append((cpu_s() - at) / len(calls))
        best_us[name] = 1e6 * min(took)
    per_second = 1e6 * len(best_us) / sum(best_us.values())
    note = ", ".join(f"{name} {us:.0f} us" for name, us in best_us.items())
    return [
        Row(
            name="verdicts of the refund policy",
            measured=per_second,
            unit="/s of CPU",
            bar=10_000,
            kind="at least",
            details={name: round(us, 1) for name, us in best_us.items()},
            note=note,
        )
    ]
