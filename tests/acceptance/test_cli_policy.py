"""`holdfast policy`, as a process: what it prints, and how it ends."""

import shutil
from pathlib import Path

import pytest
import yaml

from support.cli import Cli

SUPPORT = Path(__file__).parents[1] / "support"
CASES = [
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": "50"}, "expect": "allow"},
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": 500}, "expect": "ask user"},
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": 5000}, "expect": "ask two admins"},
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": 50}, "hour": 23, "expect": "deny"},
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": 50}, "hour": 23, "env": "dev", "expect": "allow"},
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": 50}, "tallies": {"refunded_today": 1990},
     "expect": "ask two admins"},
    {"tool": "issue_refund", "args": {"order_id": "7", "amount": 50}, "roles": ["auditor"], "expect": "deny"},
    {"tool": "send_email", "args": {"to": ["a@b.example"], "body": ""}, "labels": {"to": ["untrusted"]},
     "expect": "deny", "name": "what came from outside chooses no recipient"},
]  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    """A project with three tools, and no policy yet."""
    shutil.copy(SUPPORT / "refunds.py", tmp_path)
    shutil.copy(SUPPORT / "refunds.cedar", tmp_path)
    (tmp_path / "shop.py").write_text("from refunds import refund_app\n\napp = refund_app()\n")
    return Cli(tmp_path)


@pytest.fixture
def policy(shop):
    """The refund policy, where the commands look for it."""
    path = shop.folder / "policy.cedar"
    shutil.copy(SUPPORT / "refunds.cedar", path)
    return path


def test_init_writes_a_policy_that_is_in_order_and_overwrites_nothing(shop):
    written = shop("policy", "init", "shop.py", "--json").json()
    path = shop.folder / "policy.cedar"
    assert written["file"] == str(path)
    assert written["tools"] == {"get_order": "allow", "issue_refund": "ask admin", "send_email": "ask user"}
    checked = shop("policy", "check", "shop.py", "--json").json()
    assert checked["undeclared"] == []
    assert {tool["name"]: tool["default"] for tool in checked["tools"]} == written["tools"]
    for tool, args, outcome in (
        ("issue_refund", ("--arg", "order_id=7", "--arg", "amount=5"), "ask admin"),
        ("send_email", ("--arg", 'to=["a@b.example"]', "--arg", "body="), "ask user"),
        ("get_order", ("--arg", "order_id=7"), "allow"),
    ):
        assert shop("policy", "explain", "shop.py", tool, *args, "--json").json()["outcome"] == outcome
    path.write_text("// mine\n")
    again = shop("policy", "init", "shop.py")
    assert (again.code, "nothing is overwritten" in again.err) == (3, True)
    assert path.read_text() == "// mine\n"


def test_check_lists_what_no_statement_names(shop, policy):
    ended = shop("policy", "check", "shop.py")
    assert ended.code == 0
    assert "policy.cedar is in order" in ended.out
    line = next(line for line in ended.out.splitlines() if line.startswith("issue_refund"))
    assert line.split() == ["issue_refund", "idempotent", "high", "ask", "admin", "5,", "8,", "13,", "18,", "21"]
    policy.write_text('permit (principal, action in Action::"reads", resource);')
    ended = shop("policy", "check", "shop.py")
    assert ended.code == 3
    assert "no statement names 'issue_refund'" in ended.err
    assert 'permit (principal, action == Action::"issue_refund", resource);' in ended.err


def test_a_broken_policy_is_told_by_line_and_column(shop, policy):
    policy.write_text(policy.read_text().replace("args.amount", "args.ammount", 1))
    for command in ("check", "test"):
        ended = shop("policy", command, "shop.py")
        assert ended.code == 3
        assert f"{policy}:10:21: Tool 'issue_refund' has no argument 'ammount'. Did you mean 'amount'?" in ended.err


def test_explain_shows_the_deciding_lines(shop, policy):
    ended = shop("policy", "explain", "shop.py", "issue_refund", "--arg", "order_id=7", "--arg", "amount=5000.50")
    assert ended.code == 0
    assert ended.out.startswith("ask two admins: The policy asks two admins before this call of 'issue_refund'")
    assert f"{policy}:8\n" in ended.out
    assert f"{policy}:13\n" in ended.out
    assert '    @ask("user")\n    forbid (principal, action == Action::"issue_refund", resource)\n' in ended.out
    mail = ("policy", "explain", "shop.py", "send_email", "--arg", 'to=["a@b.example"]', "--arg", "body=hi")
    told = shop(*mail, "--label", "to=untrusted", "--env", "dev", "--hour", "23", "--json").json()
    assert (told["outcome"], [rule["line"] for rule in told["rules"]]) == ("deny", [25])
    assert shop(*mail, "--role", "auditor", "--json").json()["rules"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nope",), "There is no tool 'nope'"),
        (("get_order", "--arg", "7"), "names no value"),
        (("get_order", "--role", "boss"), "'admin'"),
        (("get_order", "--label", "body=user"), "has no argument 'body'"),
    ],
)
def test_explain_says_what_is_wrong_with_the_question(shop, policy, arguments, told):
    ended = shop("policy", "explain", "shop.py", *arguments)
    assert ended.code in {2, 3}
    assert told in " ".join(ended.err.replace("│", " ").split())


def test_cases_are_tried(shop, policy):
    (shop.folder / "policy.cases.yaml").write_text(yaml.safe_dump(CASES))
    ended = shop("policy", "test", "shop.py")
    assert (ended.code, ended.out) == (0, f"All {len(CASES)} cases are as expected.\n")
    policy.write_text(policy.read_text().replace("000.00", "0000.00").replace(">= 22", ">= 24"))
    ended = shop("policy", "test", "shop.py")
    assert ended.code == 1
    assert "3 of 8 cases are not as expected." in ended.out
    wrong = shop("policy", "test", "shop.py", "--json")
    assert wrong.code == 1
    assert '"expected":"ask two admins","found":"ask user"' in wrong.out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {tool: issue_refund, expect: perhaps}", "case 1, expect: 'perhaps' is not to be expected"),
        ("- {tool: get_order, expect: allow}\n- {tool: get_order, hours: 3}", "case 2, hours: Extra inputs"),
        ("- {tool: get_order}", "expects nothing"),
        ("", "there is no case"),
        ("- {", "no YAML"),
        (None, "cannot be read"),
    ],
)
def test_cases_that_are_none_are_refused(shop, policy, text, told):
    path = shop.folder / "cases.yaml"
    if text is not None:
        path.write_text(text)
    ended = shop("policy", "test", "shop.py", "cases.yaml")
    assert ended.code == 3
    assert told in ended.err


def test_diff_finds_the_limits_that_moved(shop, policy):
    new = shop.folder / "new.cedar"
    new.write_text(policy.read_text().replace('"1000.00"', '"500.00"').replace('Label::"untrusted"', 'Label::"system"'))
    found = shop("policy", "diff", "policy.cedar", "new.cedar", "--app", "shop.py", "--json").json()
    assert {(one["tool"], one["old"], one["new"]) for one in found["changed"]} == {
        ("issue_refund", "ask user", "ask two admins"),
        ("send_email", "deny", "allow"),
        ("send_email", "allow", "deny"),
    }
    amounts = {one["args"]["amount"] for one in found["changed"] if one["tool"] == "issue_refund"}
    assert amounts == {"500.0001", "999.9999", "1000.00"}
    ended = shop("policy", "diff", "policy.cedar", "policy.cedar", "--app", "shop.py")
    assert (ended.code, ended.out.startswith("None of ")) == (0, True)
    (shop.folder / "cases.yaml").write_text(yaml.safe_dump(CASES))
    ended = shop("policy", "diff", "policy.cedar", "new.cedar", "cases.yaml", "--app", "shop.py")
    assert "what came from outside chooses no recipient" in ended.out
    assert "1 of 8 cases in cases.yaml change." in ended.out


def test_diff_tells_which_version_is_broken(shop, policy):
    (shop.folder / "new.cedar").write_text("permit (principal, action, resource)")
    ended = shop("policy", "diff", "policy.cedar", "new.cedar", "--app", "shop.py")
    assert (ended.code, "new.cedar:1:1: This statement does not end." in ended.err) == (3, True)
