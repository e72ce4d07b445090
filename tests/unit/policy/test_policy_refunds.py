"""The bank's refund policy: $50 goes, $500 asks the user, $5,000 two administrators, and what is never done."""

from dataclasses import replace
from decimal import Decimal

import pytest

from holdfast.domain.rights import Role
from holdfast.domain.verdict import Ask, Decision, Rule
from support.refunds import REFUNDS, UNTRUSTED, facts, refund_policy

POLICY = refund_policy()
LINES = REFUNDS.splitlines()


def refund(amount, policy=POLICY, **given):
    return policy.verdict("issue_refund", {"order_id": "7", "amount": amount}, facts(**given))


def mail(**given):
    return POLICY.verdict("send_email", {"to": ["ann@bank.example"], "body": "hello"}, facts(**given))


@pytest.mark.parametrize(
    ("amount", "decision", "ask"),
    [
        ("50", Decision.ALLOW, None),
        ("100.00", Decision.ALLOW, None),
        ("100.01", Decision.ASK, Ask()),
        ("500", Decision.ASK, Ask()),
        ("1000.0001", Decision.ASK, Ask(Role.ADMIN, 2)),
        ("5000", Decision.ASK, Ask(Role.ADMIN, 2)),
        ("0", Decision.DENY, None),
        ("-5000", Decision.DENY, None),
    ],
)
@pytest.mark.parametrize("shape", [str, Decimal, float])
def test_the_amount_decides_in_whatever_shape_it_comes(amount, decision, ask, shape):
    verdict = refund(shape(amount))
    assert (verdict.decision, verdict.ask, verdict.policy) == (decision, ask, POLICY.digest)


def test_ten_small_refunds_are_one_large_one():
    reached = {"refunded_today": 1950_0000}
    assert refund("50", tallies=reached).decision is Decision.ALLOW
    assert refund("50.01", tallies=reached).ask == Ask(Role.ADMIN, 2)


def test_an_amount_that_was_not_counted_is_denied():
    verdict = refund("50", tallies={})
    assert verdict.decision is Decision.DENY
    assert "'run.refunded_today': it was not counted" in verdict.reason


@pytest.mark.parametrize(
    ("hour", "env", "allowed"), [(22, "prod", False), (5, "prod", False), (6, "prod", True), (23, "dev", True)]
)
def test_none_at_night_in_production(hour, env, allowed):
    verdict = refund("50", local_hour=hour, env=env)
    assert (verdict.decision is Decision.ALLOW) == allowed
    if not allowed:
        assert verdict.rules == (Rule("night", 18, "No refunds between 22 and 6 o'clock."),)
        assert verdict.reason == "The policy forbids this call of 'issue_refund': No refunds between 22 and 6 o'clock."


def test_a_plain_forbid_is_not_lifted_by_asking():
    assert refund("5000", local_hour=23).decision is Decision.DENY


def test_asking_permits_nothing():
    verdict = refund("500", roles=frozenset({Role.AUDITOR}))
    assert verdict.decision is Decision.DENY
    assert "permits no call of 'issue_refund' like this one to: auditor" in verdict.reason


def test_an_untrusted_recipient_is_never_written_to():
    assert mail().decision is Decision.ALLOW
    assert mail(labels={"to": UNTRUSTED}).decision is Decision.DENY


@pytest.mark.parametrize("labels", [{}, {"to": frozenset()}, {"body": frozenset({"user"})}])
def test_what_nobody_vouches_for_is_untrusted(labels):
    assert mail(labels=labels).decision is Decision.DENY


def test_reads_are_free_for_everybody():
    for roles in (frozenset(), frozenset({Role.USER}), frozenset(Role)):
        assert POLICY.verdict("get_order", {"order_id": "7"}, facts(roles=roles)).decision is Decision.ALLOW


def test_rules_are_named_by_the_line_in_which_they_begin():
    verdict = refund("5000")
    assert [rule.line for rule in verdict.rules] == [8, 13]
    assert LINES[12].startswith('@ask("two admins")')
    assert verdict.rules[1].reason in verdict.reason
    assert [rule.line for rule in refund("50").rules] == [5]
    assert [rule.line for rule in refund("-1").rules] == [21]


def test_lines_are_right_among_comments_strings_and_neighbours():
    text = REFUNDS.replace("// Anyone may read.", '// permit (principal, action, resource);\n// "permit; forbid\n')
    text = text.replace('@id("night") ', '@reason("permit (principal, action, resource); // not one") ').replace(
        '@reason("No refunds between 22 and 6 o\'clock.")', '@id("a;b")'
    )
    text = text.replace(";\nforbid", "; forbid")
    policy = refund_policy(text)
    night, below = refund("-1", policy, local_hour=23).rules
    assert (night.id, night.line) == ("a;b", 20)
    assert night.reason == "permit (principal, action, resource); // not one"
    assert (below.line, below.id) == (22, f"22:{text.splitlines()[21].index('forbid') + 1}")


def test_the_digest_is_of_the_text_and_of_the_tools():
    assert POLICY.digest == refund_policy().digest
    assert len(POLICY.digest) == 16
    assert refund_policy(REFUNDS + " ").digest != POLICY.digest
    assert replace(refund("50"), policy="") == replace(refund("50", refund_policy(REFUNDS + "\n")), policy="")
