"""Verdicts: what cannot be judged is denied, and nothing that is given to a policy makes it raise or say yes."""

from collections import UserDict
from dataclasses import replace
from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast import governed
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Ask, Decision, Verdict
from holdfast.guards.policy import load
from support.refunds import REFUNDS, UNTRUSTED, USER, VOCABULARY, external_recipients, facts, refund_app, refund_policy

POLICY = refund_policy()
GOOD = {"order_id": "7", "amount": "50"}
ASKS = ("user", "approver", "admin", "two approvers", "two admins")


def denied(verdict, why=""):
    assert isinstance(verdict, Verdict)
    assert verdict.decision is Decision.DENY
    assert why in verdict.reason
    assert verdict.policy
    return True


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"env": "production"}, "'production' is not one of dev, staging, prod"),
        ({"local_hour": 24}, "the hour is 24"),
        ({"local_hour": None}, "TypeError"),
        ({"task": "sales"}, "there is no task 'sales'"),
        ({"tallies": {}}, "'run.refunded_today': it was not counted"),
        ({"tallies": {"refunded_today": 2**63}}, "the amount is too large"),
        ({"tallies": {"refunded_today": 2**63 - 1}}, "the amount is too large"),
        ({"tallies": None}, "TypeError"),
        ({"roles": frozenset({"boss"})}, "cannot judge"),
        ({"roles": None}, "TypeError"),
    ],
)
def test_broken_facts_are_denied(broken, why):
    denied(POLICY.verdict("issue_refund", GOOD, facts(**broken)), why)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({}, "'order_id': it is missing"),
        ({"order_id": "7"}, "it is missing"),
        (GOOD | {"amount": None}, "it is missing"),
        (GOOD | {"amount": "50.00001"}, "'amount': the amount has more than 4 decimal places"),
        (GOOD | {"amount": 10**30}, "'amount': the amount is too large"),
        (GOOD | {"amount": {"__extn": {"fn": "decimal", "arg": "1.0"}}}, "is not an amount"),
        (GOOD | {"order_id": 7}, "'order_id': a value of type int is not a text"),
        (GOOD | {"order_id": {"__entity": {"type": "Role", "id": "admin"}}}, "is not a text"),
        (GOOD | {"limit": 3}, "'limit': the tool's schema does not have it"),
        (None, "cannot judge"),
        ([], "cannot judge"),
    ],
)
def test_arguments_that_do_not_fit_are_denied(args, why):
    denied(POLICY.verdict("issue_refund", args, facts()), why)


def test_a_text_that_is_none_is_not_shown():
    policy = refund_policy('permit (principal, action == Action::"get_order", resource) when { context.args.full };')
    looks = refund_policy(
        'permit (principal, action == Action::"get_order", resource) when { context.args.order_id != "" };'
    )
    for found, decision in ((policy, Decision.ALLOW), (looks, Decision.DENY)):
        assert found.verdict("get_order", {"order_id": "\ud800", "full": True}, facts()).decision is decision


def test_reasons_do_not_repeat_what_arguments_say():
    for args in (GOOD | {"order_id": 4711_4711}, GOOD | {"amount": "0.47114711"}, GOOD | {"amount": "tel. 4711"}):
        assert "4711" not in POLICY.verdict("issue_refund", args, facts()).reason


@pytest.mark.parametrize(("tool", "meant"), [("isue_refund", "Did you mean 'issue_refund'?"), ("reads", ""), ("", "")])
def test_an_unknown_tool_is_denied(tool, meant):
    denied(POLICY.verdict(tool, GOOD, facts()), f"knows no tool '{tool}', so that it is denied.")
    assert meant in POLICY.verdict(tool, GOOD, facts()).reason


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["issue_refund", "send_email", "get_order", "nope"])
keys = st.sampled_from(["order_id", "amount", "note", "to", "body", "full", "__extn"])


@settings(max_examples=400, deadline=None)
@given(
    names, st.dictionaries(keys, anything) | anything, st.dictionaries(keys, anything), st.dictionaries(keys, anything)
)
@example("issue_refund", GOOD, {"amount": ["user"]}, {})
def test_a_verdict_never_raises_and_what_is_allowed_is_what_the_policy_says(tool, args, labels, tallies):
    verdict = POLICY.verdict(tool, args, replace(facts(), labels=labels, tallies={"refunded_today": 0} | tallies))
    assert verdict.policy == POLICY.digest
    assert (verdict.ask is not None) == (verdict.decision is Decision.ASK)
    if verdict.decision is Decision.ALLOW and tool == "issue_refund":
        assert 0 < Decimal(str(args["amount"])) <= 100
    if verdict.decision is not Decision.DENY:
        assert isinstance(args, dict)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([None, *ASKS]), max_size=5), st.booleans())
def test_all_that_fire_decide_together(tiers, permitted):
    """Against the rule said in two lines: a plain forbid denies, else what all the asks need together."""
    statements = [
        f'{f"""@ask("{tier}") """ if tier else ""}forbid (principal, action == Action::"issue_refund", resource);'
        for tier in tiers
    ]
    who = "user" if permitted else "auditor"
    statements.append(f'permit (principal in Role::"{who}", action in Action::"writes", resource);')
    verdict = load("\n".join(statements), VOCABULARY).verdict("issue_refund", GOOD, facts())
    if None in tiers or not permitted:
        assert verdict.decision is Decision.DENY
    elif tiers:
        needed = reduce(Ask.with_, map(Ask.parse, tiers))
        assert (verdict.decision, verdict.ask) == (Decision.ASK, needed)
        assert [rule.line for rule in verdict.rules] == list(range(1, len(tiers) + 1))
    else:
        assert verdict.decision is Decision.ALLOW


def test_an_evaluation_error_denies_even_where_nothing_forbids():
    text = REFUNDS.replace(
        'context.args.amount.greaterThan(decimal("0.00"))', "context.run.steps * 9223372036854775807 < 0"
    )
    policy = refund_policy(text)
    assert policy.verdict("issue_refund", GOOD, facts(steps=1)).decision is Decision.DENY
    denied(policy.verdict("issue_refund", GOOD, facts(steps=2)), "cannot judge this call of 'issue_refund': ")


def test_what_is_left_of_a_budget_is_seen_in_percent():
    policy = refund_policy(REFUNDS + "forbid (principal, action, resource) when { context.run.budget_left < 10 };")
    for left, decision in ((100, Decision.ALLOW), (10, Decision.ALLOW), (9, Decision.DENY), (0, Decision.DENY)):
        verdict = policy.verdict("issue_refund", GOOD, facts(budget_left=left))
        assert (verdict.decision, verdict.seen["budget_left"]) == (decision, left)
    assert policy.uses_budget("issue_refund")
    assert not refund_policy(REFUNDS).uses_budget("issue_refund")
    denied(policy.verdict("issue_refund", GOOD, facts(budget_left=101)), "in percent, is 101")


def test_a_verdict_says_what_it_was_made_on():
    policy = refund_policy(REFUNDS + 'forbid (principal, action, resource) when { context.run.env == Env::"dev" };')
    verdict = policy.verdict("issue_refund", GOOD, facts(env="staging"))
    assert verdict.seen["env"] == "staging"
    assert not {"steps", "depth", "budget_left"} & verdict.seen.keys()


def test_declared_facts_see_into_lists():
    text = REFUNDS + '@ask("admin") forbid (principal, action == Action::"send_email", resource) unless { '
    policy = refund_policy(text + "context.facts.external_recipients.isEmpty() };")
    args = {"to": ["ann@bank.example", "eve@elsewhere.example"], "body": ""}
    asked = policy.verdict("send_email", args, facts())
    declared = asked.facts
    assert (asked.ask, declared) == (Ask(Role.ADMIN), {"external_recipients": ["eve@elsewhere.example"]})
    allowed = policy.verdict("send_email", args | {"to": args["to"][:1]}, facts())
    assert (allowed.decision, allowed.facts) == (Decision.ALLOW, {"external_recipients": []})
    refund = policy.verdict("issue_refund", GOOD, facts())
    assert "external_recipients" not in refund.facts, "nothing looks at them"
    assert "refunded_today" not in refund.seen, "a sum tells what an argument was: it is content"
    assert "run.refunded_today" in refund.facts
    assert policy.verdict("send_email", args, facts(), declared=declared).ask == Ask(Role.ADMIN)
    assert policy.verdict("send_email", args, facts(), declared={"external_recipients": []}).decision is Decision.ALLOW
    denied(policy.verdict("send_email", args, facts(), declared={}), "'facts.external_recipients': it is missing")


def test_a_fact_is_given_what_its_annotations_say_in_whatever_shape_arguments_come():
    def round_amount(amount: Decimal) -> bool:
        return amount == amount.to_integral_value()

    app = refund_app()
    app["support"].agent.tool_plain(governed(facts={"round_amount": round_amount})(pay))  # pyright: ignore
    policy = load(
        'permit (principal, action == Action::"pay", resource) when { context.facts.round_amount };', app.vocabulary()
    )
    for amount, decision in (("5.00", Decision.ALLOW), (Decimal(5), Decision.ALLOW), (5.5, Decision.DENY)):
        assert policy.verdict("pay", {"amount": amount}, facts()).decision is decision


def pay(amount: Decimal) -> str:
    return ""


def test_a_fact_that_cannot_be_computed_denies_where_somebody_asks_for_it():
    assert POLICY.verdict("send_email", {"to": [7], "body": ""}, facts()).decision is Decision.DENY
    text = 'permit (principal, action, resource); forbid (principal, action == Action::"send_email", resource) '
    policy = refund_policy(text + "when { context.facts.external_recipients.isEmpty() };")
    with pytest.raises(AttributeError):
        external_recipients([7])  # pyright: ignore
    denied(policy.verdict("send_email", {"to": [7], "body": ""}, facts()), "'facts.external_recipients': its function")


def test_what_a_call_adds_to_tallies_can_be_had():
    assert POLICY.added("issue_refund", {"order_id": "7", "amount": Decimal("12.5")}) == {"refunded_today": 12_5000}
    assert POLICY.added("get_order", {"order_id": "7"}) == POLICY.added("nope", {}) == {}


def test_labels_are_those_of_the_argument():
    text = (
        'permit (principal, action, resource); forbid (principal, action == Action::"issue_refund", resource) when { '
    )
    policy = refund_policy(text + 'context.labels.note.contains(Label::"untrusted") };')
    untrusted = facts(labels={"note": UNTRUSTED})
    for args, labels, decision in (
        (GOOD | {"note": "hi"}, untrusted, Decision.DENY),
        (GOOD | {"note": "hi"}, facts(labels={"note": USER}), Decision.ALLOW),
        (GOOD, untrusted, Decision.ALLOW),  # what is not given comes from nowhere
    ):
        assert policy.verdict("issue_refund", args, labels).decision is decision
    denied(policy.verdict("issue_refund", GOOD | {"note": "hi"}, facts(labels={"note": frozenset({"friend"})})))


def test_arguments_may_be_any_mapping():
    assert POLICY.verdict("issue_refund", UserDict(GOOD), facts()).decision is Decision.ALLOW


def test_the_tools_that_no_statement_names_are_known():
    assert POLICY.undeclared == ()
    everything = refund_policy("permit (principal, action, resource);")
    assert everything.undeclared == ("get_order", "issue_refund", "send_email")
    money = refund_policy('permit (principal, action in Action::"money", resource);')
    assert money.undeclared == ("get_order", "send_email")
    assert [one.line for one in POLICY.about("issue_refund")] == [5, 8, 13, 18, 21]
    assert POLICY.about("nope") == ()


def test_the_digest_changes_with_the_tools():
    app = refund_app()
    agent = app["support"].agent

    @agent.tool_plain  # pyright: ignore
    @governed(risk="low")
    def more(text: str) -> str:
        return text

    assert load(REFUNDS, app.vocabulary()).digest != POLICY.digest
