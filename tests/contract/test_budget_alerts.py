"""Alerts that come with time, and what people do to budgets as seen by alerts and windows."""

from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils.compat import uuid7

from contract.test_budgets import Budgets, asks, reserve, settle, tells
from support.store_scene import TENANT, outcomes


class Spending(Budgets):
    def spend(self, held, usd, step):
        assert outcomes(self.scene.worker, asks(held, reserve(usd, step))) == ["appended"]
        assert outcomes(self.scene.worker, tells(held, settle(usd, step))) == ["appended"]

    def told(self):
        rows = self.scene.worker.execute("select what, spent, amount from holdfast.tell_alerts(100)").fetchall()
        return sorted(rows)

    def raise_(self, budget, more, key):
        return self.scene.call(
            self.scene.api, TENANT, "select * from holdfast.raise_budget(%s, %s, '', %s, 'why', 'me', 's', %s, 'x')",
            TENANT, budget, more, key,
        )[0]  # fmt: skip


@pytest.fixture
def budgets(scene):
    return Spending(scene)


def to_the_next_day(scene):
    """Move the clock to the first second of a day, which every test here begins with."""
    now = scene.one("select holdfast.now()").astimezone(UTC)
    tomorrow = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    scene.move_clock((tomorrow - now).total_seconds() + 1)


def test_a_window_that_will_not_last_is_told_of_once_a_tenth_is_past_and_once(scene, budgets):
    to_the_next_day(scene)
    budgets.set(100)
    [held] = scene.hold()
    budgets.spend(held, 15, "#1")
    assert budgets.told() == [], "an hour says nothing of a day"
    scene.move_clock(timedelta(hours=2, minutes=30).total_seconds())
    assert budgets.told() == [("forecast", 15, 100)], "15 in 2.5 hours is 144 in 24"
    scene.move_clock(60)
    assert budgets.told() == []
    assert scene.one("select told from holdfast.budget_windows") == 8


def test_a_window_that_will_last_is_not(scene, budgets):
    to_the_next_day(scene)
    budgets.set(100)
    [held] = scene.hold()
    budgets.spend(held, 9, "#1")
    scene.move_clock(timedelta(hours=2, minutes=30).total_seconds())
    assert budgets.told() == []


def test_a_budget_that_was_made_late_is_judged_from_then_on(scene, budgets):
    to_the_next_day(scene)
    scene.move_clock(timedelta(hours=18).total_seconds())
    budgets.set(100)
    [held] = scene.hold()
    budgets.spend(held, 45, "#1")
    assert budgets.told() == []
    scene.move_clock(timedelta(hours=2, minutes=30).total_seconds())
    assert budgets.told() == [("forecast", 45, 100)], "45 in 2.5 hours, and 3.5 are left"


def test_what_is_for_good_has_no_forecast(scene, budgets):
    budgets.set(100, per="ever")
    [held] = scene.hold()
    budgets.spend(held, 45, "#1")
    scene.move_clock(timedelta(days=300).total_seconds())
    assert budgets.told() == []


def test_each_alert_is_answered_to_one_worker_once(scene, budgets):
    budgets.set(100, per="ever")
    [held] = scene.hold()
    budgets.spend(held, 90, "#1")
    assert [what for what, *_ in budgets.told()] == ["half", "most"]
    assert budgets.told() == []


def test_a_window_that_somebody_holds_is_asked_of_the_next_time(scene, budgets):
    to_the_next_day(scene)
    budget = budgets.set(100)
    [held] = scene.hold()
    budgets.spend(held, 40, "#1")
    scene.move_clock(timedelta(hours=3).total_seconds())
    with scene.locked("budget_windows", "budget = %s", budget):
        assert budgets.told() == []
    assert budgets.told() == [("forecast", 40, 100)]


def test_after_a_raise_and_after_a_change_alerts_are_told_anew(scene, budgets):
    budget = budgets.set(100, per="ever")
    [held] = scene.hold()
    budgets.spend(held, 60, "#1")
    assert budgets.told() == [("half", 60, 100)]
    assert budgets.raise_(budget, 100, "one").amount == 200
    [held] = scene.hold()
    budgets.spend(held, 50, "#2")
    assert budgets.told() == [("half", 110, 200)]
    budgets.set(20, per="ever")
    [held] = scene.hold()
    budgets.spend(held, 1, "#3")
    assert budgets.told() == [("half", 110, 120), ("most", 110, 120)], "what a change made of it"


def test_a_raise_that_comes_again_raises_once_and_none_passes_what_fits(scene, budgets):
    budget = budgets.set(10**17, per="ever")
    assert (budgets.raise_(budget, 5, "one").outcome, budgets.raise_(budget, 5, "one").outcome) == (
        "raised",
        "asked_before",
    )
    assert budgets.raise_(budget, 10**17, "two").amount == 2 * 10**17
    [held] = scene.hold()
    budgets.spend(held, 15 * 10**16, "#1")
    assert [what for what, *_ in budgets.told()] == ["half"]


def test_another_zone_begins_another_day_and_lets_runs_try_it(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    budgets.spend(held, 100, "#1")
    zone = "select holdfast.set_time_zone(%s, %s, 'me') as known"
    assert scene.call(scene.api, TENANT, zone, TENANT, "Pacific/Kiritimati")[0].known is True
    assert scene.row(held.run)["stale"] is True
    assert len(budgets.windows(budget)) == 1
    assert scene.call(scene.api, TENANT, zone, TENANT, str(uuid7()))[0].known is False


def correct(scene, held, usd, step="#1", attempt=1):
    return scene.call(
        scene.api, TENANT, "select holdfast.correct_reservation(%s, %s, %s, %s, %s, null, null, 'the bill', 'me')",
        TENANT, held.run, step, attempt, usd,
    )[0][0]  # fmt: skip


def test_what_people_know_better_is_put_in_its_place_and_told_of_as_what_steps_use(scene, budgets):
    money, requests = budgets.set(100), budgets.set(9, unit="requests")
    each = budgets.set(90, "model", "*")
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(parts={"gpt": 20, "small": 10}), reserve(15, "#2")))
    assert correct(scene, held, 25) == "under_way"
    outcomes(scene.worker, tells(held, settle(what="void")))
    assert (budgets.window(money), budgets.window(requests)) == ((30, 15), (1, 1))
    assert budgets.told() == []
    assert correct(scene, held, 60) == "settled"
    assert correct(scene, held, 60) == "absent"
    assert (budgets.window(money), budgets.window(requests)) == ((60, 15), (1, 1))
    assert budgets.windows(each) == [("gpt", 60, 15), ("small", 60, 0)]
    assert budgets.told() == [("half", 60, 90), ("half", 60, 90), ("half", 60, 100)]
    scene.admin.execute("update holdfast.runs set state = 'parked', worker = null, waiting_on = 'approval'")
    assert correct(scene, held, 85, "#2") == "settled"
    assert budgets.window(money) == (145, 0)
    assert {what for what, *_ in budgets.told()} == {"most", "all"}
