"""Policy is asked at the moment of dispatch, on exactly the arguments that the tool receives."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic_ai import RunContext
from pydantic_ai.capabilities import Hooks
from pydantic_ai.messages import ModelRequest, ToolReturnPart
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Ask, Decision, Facts, Rule, Verdict
from holdfast.service.decide_approval import decide_approval, resolve_effect
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide

USER, TWO = Ask(), Ask(Role.ADMIN, 2)


@dataclass
class Rules:
    """A policy whose rules a test can change."""

    rule: Callable[[str, Mapping[str, Any], Facts], Ask | str | None]
    """Who is to be asked, why it is denied, or None where it is allowed."""
    digest: str = "first"
    counted: tuple[str, ...] = ()
    seen: list[tuple[str, dict[str, Any], Facts]] = field(default_factory=list)

    def uses_labels(self, _tool: str) -> bool:
        return True

    def uses_budget(self, _tool: str) -> bool:
        return False

    def tallies(self, tool: str) -> tuple[str, ...]:
        return self.counted if tool == "pay" else ()

    def added(self, tool: str, args: Mapping[str, Any]) -> dict[str, int]:
        return dict.fromkeys(self.tallies(tool), args["amount"] * 10000)

    def verdict(self, tool: str, args: Mapping[str, Any], facts: Facts) -> Verdict:
        self.seen.append((tool, dict(args), facts))
        match self.rule(tool, args, facts):
            case None:
                return Verdict(Decision.ALLOW, self.digest)
            case str() as reason:
                return Verdict(Decision.DENY, self.digest, reason, rules=(Rule("never", 3, reason),))
            case ask:
                return Verdict(Decision.ASK, self.digest, "above the limit", ask, (Rule("limit", 7),))


def limit(tool: str, args: Mapping[str, Any], _facts: Facts) -> Ask | str | None:
    """$100 goes, more asks the user, above $1,000 two administrators; nothing below zero."""
    if tool != "pay":
        return None
    if args["amount"] <= 0:
        return "nothing below zero"
    return None if args["amount"] <= 100 else USER if args["amount"] <= 1000 else TWO


def payer(ledger: list[Any], amount: int, *, seen: Any = None, recovery: Any = effect.idempotent, **more: Any) -> Any:
    made = agent([("pay", {"amount": amount}, "p1")], "done", seen=seen, **more)

    @made.tool_plain
    @recovery
    def pay(amount: int, note: str = "none") -> str:
        ledger.append((effect.key(), amount, note))
        return f"paid {amount}"

    return made


async def pending(lab: Any) -> list[Any]:
    return list((await list_tasks_to_decide(lab.services, WHO, state="pending")).items)


async def governed(make_lab: Any, made: Any, rule: Any = limit, **more: Any) -> tuple[Any, Rules]:
    lab = await make_lab(made, **more)
    rules = lab.governor.policy = Rules(rule)
    await lab.start()
    return lab, rules


async def agree(lab: Any, **more: Any) -> None:
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest, **more)


def told(seen: list[Any]) -> list[tuple[str, Any]]:
    return [
        (part.outcome, part.content)
        for message in seen[-1]
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]


async def test_what_is_allowed_goes_and_its_intent_names_the_policy(make_lab):
    ledger: list[Any] = []
    lab, _ = await governed(make_lab, payer(ledger, 50))
    assert await lab.work() == "finished"
    assert [amount for _, amount, _ in ledger] == [50]
    [started] = await lab.of(ev.ToolStarted)
    assert started.policy == "first"


async def test_what_is_denied_never_runs_and_the_model_is_told_why(make_lab):
    ledger: list[Any] = []
    seen: list[Any] = []
    lab, _ = await governed(make_lab, payer(ledger, -5, seen=seen), stream=False)
    assert await lab.work() == "finished"
    assert ledger == []
    assert told(seen) == [("failed", "Refused by policy: nothing below zero")]
    [denied] = await lab.of(ev.CallDenied)
    assert (denied.policy, denied.rules, await lab.content(denied.why)) == ("first", ["never"], "nothing below zero")
    assert await lab.content(denied.args) == {"amount": -5, "note": "none"}
    assert await lab.of(ev.ToolStarted) == []


async def test_what_asks_parks_and_goes_on_once_agreed_to(make_lab):
    ledger: list[Any] = []
    lab, _ = await governed(make_lab, payer(ledger, 500))
    assert await lab.work() == "parked"
    assert ledger == []
    [asked] = await lab.of(ev.ApprovalAsked)
    assert (asked.ask, asked.policy, asked.rules, await lab.content(asked.why)) == (
        "user",
        "first",
        ["limit"],
        "above the limit",
    )
    assert await lab.content(asked.received) == {"amount": 500, "note": "none"}
    await agree(lab)
    assert await lab.work() == "finished"
    assert [amount for _, amount, _ in ledger] == [500]


async def test_people_are_shown_where_each_argument_came_from(make_lab):
    made = agent([("pay", {"amount": 500, "note": "as in the letter"}, "p1")], "done")

    @made.tool_plain
    @effect.idempotent
    def pay(amount: int, note: str = "none", copies: int = 1) -> str:
        return "paid"

    lab = await make_lab(made)
    lab.governor.policy = Rules(limit)
    await lab.start(input="please pay 500, see the letter")
    await lab.work()
    [task] = await pending(lab)
    shown = await get_task_to_decide(lab.services, WHO, task.id)
    assert shown.sources == {"amount": ["user"], "note": ["untrusted"]}
    edited = {"amount": 500, "note": "none", "copies": 2}
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest, args=edited)
    shown = await get_task_to_decide(lab.services, WHO, task.id)
    assert shown.sources == {"amount": ["user"], "note": ["editor"], "copies": ["editor"]}
    assert await lab.work() == "finished"


async def test_a_rejection_is_told_to_the_model(make_lab):
    ledger: list[Any] = []
    seen: list[Any] = []
    lab, _ = await governed(make_lab, payer(ledger, 500, seen=seen), stream=False)
    await lab.work()
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "rejected", digest=task.digest, reason="not today")
    assert await lab.work() == "finished"
    assert told(seen) == [("denied", "not today")]
    assert ledger == []


async def test_what_was_agreed_to_lightly_is_asked_again_when_policy_grew_stricter(make_lab):
    ledger: list[Any] = []
    lab, rules = await governed(make_lab, payer(ledger, 500))
    await lab.work()
    await agree(lab)
    rules.rule, rules.digest = lambda tool, args, facts: TWO, "second"
    assert await lab.work() == "parked"
    assert ledger == []
    asked = (await lab.of(ev.ApprovalAsked))[-1]
    assert (asked.ask, asked.policy, asked.round) == ("two admins", "second", 2)
    assert len(await pending(lab)) == 1


async def test_what_was_agreed_to_and_is_denied_meanwhile_does_not_run(make_lab):
    ledger: list[Any] = []
    seen: list[Any] = []
    lab, rules = await governed(make_lab, payer(ledger, 500, seen=seen), stream=False)
    await lab.work()
    await agree(lab)
    rules.rule = lambda tool, args, facts: "closed at night"
    assert await lab.work() == "finished"
    assert ledger == []
    assert told(seen) == [("failed", "Refused by policy: closed at night")]
    await lab.expect("succeeded")


async def test_agreed_to_while_a_sibling_is_under_way_and_stricter_since(make_lab):
    """The question, its answer and the next question all happen in one execution."""
    ledger: list[Any] = []
    made = agent([("pay", {"amount": 500}, "p1"), ("wait", {}, "w1")], "done")
    labs: list[Any] = []
    rules = Rules(limit)

    @made.tool_plain
    @effect.idempotent
    def pay(amount: int) -> str:
        ledger.append(amount)
        return "paid"

    @made.tool_plain
    @effect.idempotent
    async def wait() -> str:
        while not await pending(labs[0]):
            await asyncio.sleep(0.01)
        await agree(labs[0])
        rules.rule = lambda tool, args, facts: TWO
        return "waited"

    lab = await make_lab(made)
    labs.append(lab)
    lab.governor.policy = rules
    await lab.start()
    assert await lab.work() == "parked"
    assert ledger == []
    assert [event.round for event in await lab.of(ev.ApprovalAsked)] == [1, 2]


async def test_an_edit_is_decided_on_as_edited(make_lab):
    ledger: list[Any] = []
    lab, _ = await governed(make_lab, payer(ledger, 500))
    await lab.work()
    await agree(lab, args={"amount": 5000})
    assert await lab.work() == "parked"
    assert ledger == []
    asked = (await lab.of(ev.ApprovalAsked))[-1]
    assert (asked.ask, asked.round, await lab.content(asked.args)) == ("two admins", 2, {"amount": 5000})


async def test_policy_sees_what_hooks_make_of_the_arguments(make_lab):
    """A hook that multiplies an amount by a hundred must not pass on the old amount."""
    ledger: list[Any] = []
    hooks = Hooks()

    @hooks.on.before_tool_execute
    async def cents(ctx: RunContext[Any], *, call: Any, tool_def: Any, args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "amount": args["amount"] * 100}

    lab, rules = await governed(make_lab, payer(ledger, 50, capabilities=[hooks]))
    assert await lab.work() == "parked"
    assert rules.seen[0][1]["amount"] == 5000
    [asked] = await lab.of(ev.ApprovalAsked)
    assert asked.ask == "two admins"
    assert (await lab.content(asked.args))["amount"] == 50
    assert (await lab.content(asked.received))["amount"] == 5000


async def test_agreement_to_one_call_is_none_to_what_a_hook_makes_of_it_later(make_lab):
    ledger: list[Any] = []
    factor = [1]
    hooks = Hooks()

    @hooks.on.before_tool_execute
    async def times(ctx: RunContext[Any], *, call: Any, tool_def: Any, args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "amount": args["amount"] * factor[0]}

    lab, _ = await governed(make_lab, payer(ledger, 500, capabilities=[hooks]))
    await lab.work()
    await agree(lab)
    factor[0] = 2
    assert await lab.work() == "parked"
    assert ledger == []
    asked = (await lab.of(ev.ApprovalAsked))[-1]
    assert (asked.round, (await lab.content(asked.received))["amount"]) == (2, 1000)
    await agree(lab)
    assert await lab.work() == "finished"
    assert [amount for _, amount, _ in ledger] == [1000]


async def test_a_tool_that_asks_by_itself_is_put_before_those_whom_policy_names(make_lab):
    ledger: list[Any] = []
    made = agent([("pay", {"amount": 5000}, "p1")], "done")

    @made.tool_plain(requires_approval=True)
    @effect.idempotent
    def pay(amount: int) -> str:
        ledger.append(amount)
        return "paid"

    lab, _ = await governed(make_lab, made)
    assert await lab.work() == "parked"
    [asked] = await lab.of(ev.ApprovalAsked)
    assert asked.ask == "two admins"


async def test_nobody_is_asked_about_what_policy_denies(make_lab):
    seen: list[Any] = []
    made = agent([("pay", {"amount": -1}, "p1")], "done", seen=seen)

    @made.tool_plain(requires_approval=True)
    def pay(amount: int) -> str:
        raise AssertionError

    lab, _ = await governed(make_lab, made, stream=False)
    assert await lab.work() == "finished"
    assert await lab.of(ev.ApprovalAsked) == []
    assert told(seen) == [("denied", "Refused by policy: nothing below zero")]


@pytest.mark.parametrize("point", ["outcome.before", "outcome.after", "intent.before", "intent.after", "tool.entering"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_killed_anywhere_between_the_question_and_the_effect_it_happens_once(make_lab, point, nth):
    ledger: list[Any] = []
    lab, _ = await governed(make_lab, payer(ledger, 500))
    died = isinstance(await lab.work(probe=die_at(point, nth)), Died)
    if lab.state != "parked":
        assert await lab.work() == "parked" or died
    if lab.state == "parked":
        await agree(lab)
        if isinstance(await lab.work(probe=die_at(point, nth)), Died):
            await lab.work()
    await lab.expect("succeeded")
    assert len({key for key, *_ in ledger}) == 1
    assert len(await lab.of(ev.ApprovalAsked)) == 1


async def test_a_retry_that_policy_would_not_let_begin_now_is_in_doubt(make_lab):
    ledger: list[Any] = []
    lab, rules = await governed(make_lab, payer(ledger, 50))
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert len(ledger) == 1
    rules.rule = lambda tool, args, facts: "closed"
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    assert task.kind == "in_doubt"
    await resolve_effect(lab.services, WHO, task.id, "done", digest=task.digest, result="paid 50")
    assert await lab.work() == "finished"
    assert len(ledger) == 1
