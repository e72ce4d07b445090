"""A policy's file: read at the start, looked at again, and never exchanged for one that is not in order."""

import subprocess
import sys

import pytest

from holdfast import App, PolicyError, UserError
from holdfast.domain.verdict import Decision
from holdfast.guards.policy import PolicyFile
from support.refunds import REFUNDS, VOCABULARY, facts, refund_app

GOOD = {"order_id": "7", "amount": "50"}
BROKEN = REFUNDS.replace('Role::"user"', 'Role::"usr"')


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "policy.cedar"
    found.write_text(REFUNDS)
    return found


def test_a_file_that_is_unchanged_is_the_same_policy(path):
    file = PolicyFile(path, VOCABULARY)
    assert file.check() is file.policy is file.check()
    path.write_text(REFUNDS)
    assert file.check() is file.policy


def test_a_new_version_takes_force(path):
    file = PolicyFile(path, VOCABULARY)
    before = file.policy
    path.write_text(REFUNDS + "forbid (principal, action, resource);")
    after = file.check()
    assert after.digest != before.digest
    assert after.verdict("issue_refund", GOOD, facts()).decision is Decision.DENY
    assert before.verdict("issue_refund", GOOD, facts()).decision is Decision.ALLOW
    path.write_text(REFUNDS)
    assert file.check().digest == before.digest


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (BROKEN.encode(), ":5:28: There is no role 'usr'"),
        (b"", ": It states nothing"),
        (REFUNDS.encode()[:200], "does not end"),
        (b"permit (principal, action, resource);\n// \xff", ":2:1: It is not UTF-8"),
        (None, ": It cannot be read: No such file"),
    ],
    ids=["wrong", "empty", "cut off", "not text", "gone"],
)
def test_a_broken_version_is_told_once_and_the_old_one_stays(path, content, told):
    file = PolicyFile(path, VOCABULARY)
    before = file.policy
    path.unlink() if content is None else path.write_bytes(content)
    assert file.check() is before
    assert str(file.error).startswith(str(path))
    assert told in str(file.error)
    error = file.error
    assert file.check() is before
    assert file.error is error
    path.write_text(REFUNDS)
    file.check()
    assert file.error is None


@pytest.mark.parametrize("content", [BROKEN, "", None])
def test_at_the_start_there_is_no_older_one(path, content):
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(PolicyError, match=str(path)):
        PolicyFile(path, VOCABULARY)


def test_an_app_finds_its_policy_beside_its_own_file(path):
    (path.parent / "shop.py").write_text(
        "from holdfast import App\napp = App('shop', policy='policy.cedar', env='prod')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", "from shop import app; print(app.policy_path, app.env)"],
        cwd="/",
        env={"PYTHONPATH": str(path.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"{path} prod\n"


def test_an_app_loads_its_policy(path):
    policy = refund_app(policy=path).load_policy()
    assert policy is not None
    assert policy.path == str(path)
    assert refund_app().load_policy() is None
    path.write_text(BROKEN)
    with pytest.raises(PolicyError, match=":5:28"):
        refund_app(policy=path).load_policy()


def test_an_environment_that_there_is_not_is_refused():
    with pytest.raises(UserError, match="env is 'dev', 'staging', 'prod', not 'production'"):
        App("shop", env="production")  # pyright: ignore
