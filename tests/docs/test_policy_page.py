"""The page about policies: its policy is in order for its app, its cases come out as it says, its tables are whole."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from holdfast.guards.policy import load
from holdfast.guards.policy.cases import Written, read_cases
from holdfast.guards.policy.vocabulary import RUN
from holdfast.loading import load_app
from support.cli import Cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/policy.md").read_text()


def fence(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "policy_desk.py").write_text(fence("python"))
    return load_app(f"{tmp_path / 'policy_desk.py'}:app")


def test_its_policy_decides_its_cases_as_it_says(app):
    policy = load(fence("cedar"), app.vocabulary())
    assert policy.undeclared == ()
    cases = read_cases(yaml.safe_load(fence("yaml")), "docs/policy.md", policy.vocabulary)
    assert len(cases) == 6
    for case in cases:
        assert case.outcome(policy) == case.expect, case.name


def test_it_tells_all_that_a_run_and_a_case_have():
    for name in RUN:
        assert re.search(rf"`(context\.run\.)?{name}`", PAGE), name
    for name in Written.model_fields:
        assert f"`{name}`" in PAGE


def test_the_banks_policy_decides_its_cases():
    ended = Cli(ROOT)("policy", "test", "examples/bank_support/app.py:app", "--json")
    assert ended.json()["wrong"] == []
