"""A test that lacks a program is left out on a newcomer's machine, and red in CI."""

from pathlib import Path

import pytest

from support.tools import LEAVE_NOTHING_OUT, need


def test_a_missing_program_skips_and_in_ci_fails(monkeypatch):
    monkeypatch.delenv(LEAVE_NOTHING_OUT, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"/nowhere is needed: run `bash \.ci/install-it`"):
        need(Path("/nowhere"), "install-it")
    monkeypatch.setenv(LEAVE_NOTHING_OUT, "true")
    with pytest.raises(pytest.fail.Exception, match="/nowhere is needed"):
        need(Path("/nowhere"), "install-it")


def test_one_that_is_there_is_not_asked_about(monkeypatch):
    monkeypatch.setenv(LEAVE_NOTHING_OUT, "true")
    need(Path(__file__), "install-it")
