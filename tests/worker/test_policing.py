"""A policy in a worker: watched, replaced when a new version is in order, kept when it is not."""

import asyncio
from contextlib import suppress
from decimal import Decimal

import pytest
from pydantic_ai import Agent
from structlog.testing import capture_logs

from holdfast import App, effect
from holdfast.domain.errors import ToolsUndeclared, UserError
from holdfast.domain.verdict import Decision, Facts
from holdfast.engine.startable import check_declared
from holdfast.guards.policy import PolicyError
from holdfast.guards.tally import Tally
from holdfast.settings import Settings
from holdfast.worker.policing import governor_of, keep_in_force

ALLOWS = 'permit (principal, action == Action::"pay", resource);'
DENIES = f"{ALLOWS}\nforbid (principal, action, resource);"
MISSPELT = f'{ALLOWS}\nforbid (principal, action == Action::"pya", resource);'


def made(folder, **options):
    paid = Agent("test")

    @paid.tool_plain
    @effect.idempotent
    def pay(amount: Decimal) -> str:
        return ""

    app = App("bank", policy=folder / "policy.cedar", **options)
    app.task("pay", agent=paid)
    return app


def decided(governor):
    facts = Facts(principal="ann", roles=frozenset(), task="pay", env="prod", local_hour=12, local_weekday=1)
    return governor.policy.verdict("pay", {"amount": "5"}, facts).decision


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_new_version_takes_force_and_a_broken_one_does_not(tmp_path):
    file = tmp_path / "policy.cedar"
    file.write_text(ALLOWS)
    app = made(tmp_path)
    policy = app.policy_file()
    governor = governor_of(app, Settings(), policy)
    first = governor.policy
    with capture_logs() as logs:
        watching = asyncio.create_task(keep_in_force(policy, governor))
        file.write_text(MISSPELT)
        await until(lambda: policy.error is not None and logs)
        assert governor.policy is first
        assert decided(governor) is Decision.ALLOW
        file.write_text(DENIES)
        await until(lambda: governor.policy is not first)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert decided(governor) is Decision.DENY
    refused, changed = logs
    assert (refused["event"], refused["in_force"]) == ("policy.refused", first.digest)
    assert f"{file}:2:" in refused["error"]
    assert "'pay'" in refused["error"], "it names what is meant"
    assert (changed["event"], changed["policy"]) == ("policy.changed", governor.policy.digest)


def test_a_worker_does_not_start_on_a_broken_policy(tmp_path):
    (tmp_path / "policy.cedar").write_text(MISSPELT)
    with pytest.raises(PolicyError, match=r"policy\.cedar:2:"):
        made(tmp_path).policy_file()


def test_where_hours_are_counted_and_what_adds_up_are_the_apps_and_the_settings(tmp_path):
    (tmp_path / "policy.cedar").write_text(ALLOWS)
    app = made(tmp_path, env="staging", tallies=[Tally("paid", per="tenant", window="month")])
    governor = governor_of(app, Settings(time_zone="Europe/Berlin"), app.policy_file())
    assert (governor.env, str(governor.zone)) == ("staging", "Europe/Berlin")
    assert governor.tallies["paid"].per == "tenant"


def test_two_tallies_of_one_name_are_refused():
    with pytest.raises(UserError, match="declared twice"):
        App("bank", tallies=[Tally("paid"), Tally("paid", per="run")])


def undeclared(**options):
    app = App("bank")
    paid = Agent("test", name="paid")

    @paid.tool_plain
    def pay() -> str:
        return ""

    app.task("pay", agent=paid, **options)
    return app


def test_an_app_without_a_policy_and_with_tools_of_which_nothing_is_said_does_not_start():
    with pytest.raises(ToolsUndeclared, match="task 'pay': pay"):
        check_declared(undeclared(), lenient=False)


@pytest.mark.parametrize("said", [{"undeclared": "ask"}, {"undeclared": "run"}, {"effects": {"pay": "once"}}])
def test_it_starts_once_something_is_said(said):
    check_declared(undeclared(**said), lenient=False)


def test_a_developer_is_told_once():
    with capture_logs() as logs:
        check_declared(undeclared(), lenient=True)
    assert [(line["event"], "task 'pay': pay" in line["what"]) for line in logs] == [("tools.undeclared", True)]
