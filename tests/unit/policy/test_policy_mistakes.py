"""What is written wrongly is refused when it is loaded, with its place and what to do; or it denies."""

import pytest

from holdfast import PolicyError, UserError
from holdfast.domain.verdict import Decision
from support.refunds import REFUNDS, facts, refund_policy


def refused(old, new):
    """The faults of the refund policy with one thing in it changed."""
    assert old in REFUNDS
    with pytest.raises(PolicyError) as error:
        refund_policy(REFUNDS.replace(old, new, 1))
    return error.value


def pointed_at(error, old, new):
    text = REFUNDS.replace(old, new, 1).splitlines()
    return text[error.line - 1][error.column - 1 :]


TOOL = ('== Action::"issue_refund"', '== Action::"isue_refund"')
MISTAKES = {
    "tool": (*TOOL, "no tool or group 'isue_refund'", "issue_refund", '"isue_refund"'),
    "environment": ('Env::"prod"', 'Env::"production"', "no environment 'production'", None, '"production"'),
    "label": ('Label::"untrusted"', 'Label::"untrust"', "no label 'untrust'", "untrusted", '"untrust"'),
    "role": ('Role::"user"', 'Role::"usr"', "no role 'usr'", "user", '"usr"'),
    "tier": ('"two admins"', '"two admin"', "'two admin' does not say who is to be asked", "two admins", "ask"),
    "annotation": ("@ask", "@aks", "no annotation '@aks'", "ask", "aks"),
    "argument": ("args.amount", "args.ammount", "Tool 'issue_refund' has no argument 'ammount'", "amount", "ammount"),
    "type": ('(decimal("100.00"))', "(100)", "a Long where a decimal is needed", None, "context.args.amount"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_refused(mistake):
    old, new, what, suggestion, at = MISTAKES[mistake]
    error = refused(old, new)
    assert isinstance(error, UserError)
    assert what in error.faults[0].what
    assert error.suggestion == suggestion
    assert pointed_at(error, old, new).startswith(at)
    assert str(error).startswith(f"policy.cedar:{error.line}:{error.column}: ")


def test_an_ask_that_was_forgotten_denies():
    policy = refund_policy(REFUNDS.replace('@ask("user")\n', "", 1))
    verdict = policy.verdict("issue_refund", {"order_id": "7", "amount": "500"}, facts())
    assert verdict.decision is Decision.DENY


@pytest.mark.parametrize(
    ("old", "new", "what", "at"),
    [
        ('args.amount.greaterThan(decimal("100.00"))', "args.amount > 100", "a decimal where a Long", "context"),
        ('decimal("1000.00")', "1000.50", "A number has no point", "50"),
        ('"100.00"', '"100.00001"', "no decimal", '"100.00001"'),
        ("greaterThan", "greaterThn", "no 'greaterThn'", "greaterThn"),
        ("permit (principal in", "permt (principal in", "begins with permit or forbid", "permt"),
        ('Env::"prod"', '"prod"', "String and Env are never the same", "context.run.env"),
        ('in Action::"reads"', '== Action::"reads"', "can never apply", "permit"),
        ('in Role::"user"', '== Role::"user"', "can never apply", "permit"),
        ('in Role::"user"', '== Person::"ann"', "names no persons", ":"),
        ("run.local_hour", "run.localhour", "no 'localhour'", "localhour"),
        ("context.run.env", "context.runn.env", "no 'runn'", "runn"),
        ("context.labels.to", "context.labels.too", "no argument 'too'", "too"),
        ('== Action::"send_email"', 'in Action::"writes"', "Tool 'issue_refund' has no argument 'to'", "to"),
        ("context.args.amount", 'context.args.note == "x" || context.args.amount', "may be absent", "note"),
        ("resource);\n\n// Whoever", "resource)\n\n// Whoever", "does not end", "permit"),
        ("context.args.amount", "context..args.amount", "cannot be read", ".args"),
        ('"prod"', '"prod', "does not end", '"'),
        ('@ask("user")\n', '@ask("user") @ask("user")\n', "stands twice", "ask"),
        ('@id("night")', "@id", "@id says nothing", "id"),
        ('@ask("user")\nforbid', '@ask("user")\npermit', "@ask stands on a forbid", "ask"),
        ("permit (principal,", "permit (principal == ?principal,", "with a slot", "permit"),
        ("Anyone", "\u202eAnyone", "U+202E is not shown", "\u202e"),
        ("resource)\nwhen", "resource$)\nwhen", "'$' means nothing", "$"),
    ],
)
def test_other_mistakes_are_refused_where_they_are(old, new, what, at):
    error = refused(old, new)
    assert what in error.faults[0].what
    assert pointed_at(error, old, new).startswith(at)


def test_all_faults_are_told_at_once_in_the_order_of_the_file():
    text = REFUNDS.replace('Role::"user"', 'Role::"usr"').replace("args.amount", "args.ammount").replace("@ask", "@aks")
    with pytest.raises(PolicyError) as error:
        refund_policy(text)
    places = [(fault.line, fault.column) for fault in error.value.faults]
    assert places == sorted(places)
    assert len(str(error.value).splitlines()) == len(places) == 6


@pytest.mark.parametrize("text", ["", "  \n", "// only a comment\n"])
def test_a_policy_that_states_nothing_is_refused(text):
    with pytest.raises(PolicyError, match="states nothing"):
        refund_policy(text)


def test_ids_are_given_once():
    with pytest.raises(PolicyError, match="stands at line 1 already"):
        refund_policy('@id("a") permit (principal, action, resource);\n@id("a") permit (principal, action, resource);')


NEVER = {
    "context has arg": ("'context' has no 'arg' here", "arg"),
    'context.args has nte && context.args.note == "x"': ("'context.args' has no 'nte' here", "nte"),
    "context has args.nte": ("'context.args' has no 'nte' here", "nte"),
    "!(context.run has localhour)": ("'context.run' has no 'localhour' here", "localhour"),
    "principal has role": ("This is never true", "has"),
    "{a: 1} has b": ("This is never true", "has"),
    'context.run.env == Role::"user"': ("Env and Role are never the same", '"user"'),
    'Role::"user" != context.run.env': ("Env and Role are never the same", '"user"'),
    'context.labels.to.contains(Env::"prod")': ("Env and Label are never the same", "context.labels"),
    'principal == Role::"user"': ("A policy names no persons", "principal"),
    'principal in Task::"support"': ("'principal' is never a Task", '"support"'),
    'resource in [Role::"user"]': ("'resource' is never a Role", '"user"'),
    'action == Action::"writes"': ("'writes' is a group", '"writes"'),
    "resource is Role": ("This is never a Role", "Role"),
}


@pytest.mark.parametrize("condition", NEVER)
def test_what_is_never_true_is_refused_though_cedar_takes_it(condition):
    what, at = NEVER[condition]
    old = 'context.labels.to.contains(Label::"untrusted")'
    error = refused(old, condition)
    assert what in error.faults[0].what
    assert pointed_at(error, old, condition).startswith(at)


@pytest.mark.parametrize(
    "condition",
    [
        "context has args",
        "context.args has to",
        'principal in Role::"user" && resource == Task::"support" && action == Action::"send_email"',
        'principal is Person in Role::"user" && resource is Task && action in Action::"writes"',
        'context.args.body == "anything" || context.args.to.contains("anybody")',
    ],
)
def test_what_may_be_true_is_taken(condition):
    refund_policy(REFUNDS.replace('context.labels.to.contains(Label::"untrusted")', condition))


def test_several_tools_may_be_asked_for_what_some_of_them_have():
    text = 'permit (principal, action in Action::"writes", resource) '
    text += "when {{ context.args has {0} && context.args.{0} {1} }};"
    refund_policy(text.format("body", '== "x"'))
    with pytest.raises(PolicyError, match="Did you mean 'amount'"):
        refund_policy(text.format("amont", "== 1"))
