"""Windows of budgets of each run go when their run is long over, and nothing else does."""

import asyncio
from datetime import timedelta
from importlib.resources import files

import psycopg
import pytest
from uuid_utils.compat import uuid7

from contract.test_budgets import Budgets, asks, reserve, settle, tells
from holdfast.store.hints import Hints
from holdfast.store.pool import Database
from holdfast.worker.ticker import tick_forever
from support.store_scene import SUCCEED, TENANT, Member, outcomes

CHECK = (files("holdfast.store") / "queries/check_budgets.sql").read_text()
WEEK_S = timedelta(days=7).total_seconds()


class Swept(Budgets):
    def sweep(self, limit=100, after=(None, None, None)):
        with self.scene.worker.cursor() as cursor:
            return cursor.execute("select * from holdfast.sweep_windows(%s, %s, %s, %s)", [*after, limit]).fetchone()

    def spend(self, *helds, usd=5):
        for held in helds:
            assert outcomes(self.scene.worker, asks(held, reserve(usd))) == ["appended"]
            assert outcomes(self.scene.worker, tells(held, settle(usd))) == ["appended"]

    def end(self, *helds):
        for held in helds:
            assert outcomes(self.scene.worker, Member(held, next=SUCCEED, budgets=[{"what": "end"}])) == ["appended"]

    def owners(self, budget):
        return {owner for owner, *_ in self.windows(budget)}

    def drift(self):
        """Budgets of windows that are said to be wrong, with what is held and what is reserved."""
        with self.scene.api.transaction(), self.scene.api.cursor() as cursor:
            cursor.execute("select set_config('holdfast.tenant', %s, true)", [str(TENANT)])
            rows = cursor.execute(CHECK, {"tenant": TENANT, "limit": 100}).fetchall()
        return [(row[0], *row[-2:]) for row in rows]


@pytest.fixture
def budgets(scene):
    return Swept(scene)


def test_a_window_goes_a_week_after_its_run_has_ended(scene, budgets):
    each, day, model = budgets.set(99, per="run"), budgets.set(99), budgets.set(99, "model", "*", per="run")
    over, at_work = scene.hold(2)
    budgets.spend(over, at_work)
    budgets.end(over)
    scene.move_clock(WEEK_S - 60)
    assert budgets.sweep() == (0, None, None, None)
    scene.move_clock(120)
    assert budgets.sweep() == (2, None, None, None)
    assert budgets.owners(each) == {str(at_work.run)}
    assert budgets.owners(model) == {f"{at_work.run} gpt"}
    assert budgets.window(day) == (10, 0), "windows of time are kept"
    budgets.end(at_work)
    assert budgets.sweep() == (0, None, None, None), "it was made long ago, and has only just ended"
    scene.move_clock(WEEK_S + 60)
    assert budgets.sweep() == (2, None, None, None)


def test_it_goes_on_where_it_stopped_past_what_has_to_stay(scene, budgets):
    first, second = (budgets.set(99, per="run", unit=unit) for unit in ("usd", "requests"))
    helds = sorted(scene.hold(5), key=lambda held: held.run)
    budgets.spend(*helds)
    budgets.end(*helds[2:])
    scene.move_clock(WEEK_S + 60)
    place, rounds, removed = (None, None, None), 0, 0
    while rounds == 0 or (place[0] is not None and rounds < 9):
        gone, *place = budgets.sweep(2, place)
        rounds, removed = rounds + 1, removed + gone
    assert (rounds, removed) == (6, 6)
    assert budgets.owners(first) == budgets.owners(second) == {str(held.run) for held in helds[:2]}


def test_what_holds_something_or_is_held_stays(scene, budgets):
    budget = budgets.set(99, per="run")
    over, held_back = scene.hold(2)
    budgets.spend(over, held_back)
    budgets.end(over, held_back)
    scene.move_clock(WEEK_S + 60)
    scene.admin.execute("update holdfast.budget_windows set held = 1 where owner = %s", [str(held_back.run)])
    with scene.locked("budget_windows", "owner = %s", str(over.run)):
        assert budgets.sweep() == (0, None, None, None)
    assert budgets.sweep() == (1, None, None, None)
    assert budgets.owners(budget) == {str(held_back.run)}


def test_a_window_of_something_that_is_no_run_goes(scene, budgets):
    budget = budgets.set(99, per="run")
    window = "insert into holdfast.budget_windows (tenant, budget, owner, since) values (%s, %s, %s, to_timestamp(0))"
    for owner in ("0-of no run", "00000000-0000-7000-8000-000000000001"):
        scene.admin.execute(window, [TENANT, budget, owner])
    assert budgets.sweep() == (2, None, None, None)


def test_windows_of_a_tenant_that_is_being_brought_in_wait_for_its_runs(scene, budgets):
    budget = budgets.set(99, per="run")
    window = "insert into holdfast.budget_windows (tenant, budget, owner, since) values (%s, %s, %s, to_timestamp(0))"
    scene.admin.execute(window, [TENANT, budget, "00000000-0000-7000-8000-000000000001"])
    scene.admin.execute("update holdfast.tenants set state = 'importing' where id = %s", [TENANT])
    assert budgets.sweep() == (0, None, None, None)
    scene.admin.execute("update holdfast.tenants set state = 'active' where id = %s", [TENANT])
    assert budgets.sweep() == (1, None, None, None)


def test_what_was_estimated_can_be_settled_when_its_window_is_gone(scene, budgets):
    budgets.set(99, per="run")
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(5)))
    budgets.end(held)
    scene.move_clock(WEEK_S + 60)
    assert budgets.sweep()[0] == 1
    settling = "select holdfast.correct_reservation(%s, %s, '#1', 1, 3, null, null, 'the bill', 'me')"
    assert scene.call(scene.api, TENANT, settling, TENANT, held.run)[0][0] == "settled"
    assert budgets.count("reservations") == 0


@pytest.mark.parametrize("per", ["run", "hour", "day", "week", "month", "ever"])
def test_held_is_compared_with_what_is_reserved_now_and_in_the_window_before(scene, budgets, per):
    budget = budgets.set(99, per=per)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(5), reserve(6, "#2")))
    assert budgets.drift() == []
    scene.admin.execute("update holdfast.budget_windows set held = held + 1")
    assert budgets.drift() == [(budget, 12, 11)]
    outcomes(scene.worker, tells(held, settle(5), settle(6, "#2")))
    if per not in {"run", "ever"}:
        scene.move_clock(
            scene.one("select extract(epoch from holdfast.window_end(%s, 'UTC', holdfast.now()) - holdfast.now())", per)
            + 1
        )
    assert budgets.drift() == [(budget, 1, 0)]


def test_a_window_that_was_over_long_ago_is_compared_where_something_is_reserved_of_it(scene, budgets):
    budget = budgets.set(99, "user", "*", per="hour")
    ann, ben = scene.hold(1, principal="ann") + scene.hold(1, principal="ben")
    outcomes(scene.worker, asks(ann, reserve(5)), asks(ben, reserve(5)))
    outcomes(scene.worker, tells(ben, settle(5)))
    scene.admin.execute("update holdfast.budget_windows set held = held + 1")
    scene.move_clock(timedelta(hours=3).total_seconds())
    assert budgets.drift() == [(budget, 6, 5)]
    scene.admin.execute("delete from holdfast.budget_windows")
    assert budgets.drift() == [(budget, 0, 5)]


BUDGET = """
insert into holdfast.budgets (tenant, id, scope, key, unit, per, amount, created_at, created_by, changed_at, changed_by)
values (%s, %s, 'tenant', '', 'usd', 'run', 9, now(), 'me', now(), 'me')
"""
MANY = """
insert into holdfast.budget_windows (tenant, budget, owner, since)
select %s, %s, format('00000000-0000-7000-8000-%%s', lpad(n::text, 12, '0')), to_timestamp(0)
from generate_series(1, 1200) n
"""


async def test_a_worker_removes_what_is_over_batch_by_batch(database):
    budget = uuid7()
    async with Database.open(database.worker_url, role="worker") as db:
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute(BUDGET, [TENANT, budget])
            admin.execute(MANY, [TENANT, budget])
            ticking = asyncio.create_task(tick_forever(db, Hints(db), 0.01))
            async with asyncio.timeout(10):  # less than until it would begin anew
                while admin.execute("select count(*) from holdfast.budget_windows").fetchone() != (0,):
                    await asyncio.sleep(0.01)
            ticking.cancel()
