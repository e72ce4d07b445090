"""Budgets: nothing is reserved beyond a limit, what was used is always settled, and nobody waits for a row."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from support.store_scene import SUCCEED, TENANT, Aside, Member, append, outcomes


def reserve(usd=0, step="#1", attempt=1, *, tokens=0, requests=1, feature="", parts=None, what="reserve"):
    """A row of `append`. `parts` is money by model, where it is not all of one; None is what nobody knows."""
    parts = parts or {"gpt": usd}
    models = [
        {"model": name, "provider": "openai", "usd": amount, "tokens": tokens, "requests": requests}
        for name, amount in parts.items()
    ]  # fmt: skip
    return {"what": what, "step": step, "attempt": attempt, "feature": feature, "tokens": tokens, "requests": requests,
            "usd": sum(amount or 0 for amount in parts.values()), "no_usd": None in parts.values(), "no_tokens": False,
            "models": models}  # fmt: skip


def settle(usd=0, step="#1", attempt=1, *, what="settle", **more):
    return reserve(usd, step, attempt, what=what, **more)


def asks(held, *rows):
    return Member(held, intent=True, budgets=list(rows))


def tells(held, *rows):
    return Member(held, budgets=list(rows))


class Budgets:
    def __init__(self, scene):
        self.scene = scene

    def set(self, amount, scope="tenant", key="", unit="usd", per="day", tenant=TENANT):
        return self.scene.call(
            self.scene.api, tenant, "select * from holdfast.set_budget(%s, %s, %s, %s, %s, %s, %s, 'me')",
            tenant, uuid7(), scope, key, unit, per, amount,
        )[0].budget  # fmt: skip

    def windows(self, budget):
        with self.scene.admin.cursor() as cursor:
            rows = cursor.execute(
                "select owner, spent, held from holdfast.budget_windows where budget = %s order by owner, since",
                [budget],
            ).fetchall()
        return [tuple(row) for row in rows]

    def window(self, budget):
        [(_, spent, held)] = self.windows(budget)
        return spent, held

    def count(self, table):
        return self.scene.one(f"select count(*) from holdfast.{table}")


@pytest.fixture
def budgets(scene):
    return Budgets(scene)


def test_what_is_reserved_is_held_until_it_is_settled_with_what_was_used(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, reserve(60))) == ["appended"]
    assert budgets.window(budget) == (0, 60)
    assert outcomes(scene.worker, tells(held, settle(25))) == ["appended"]
    assert budgets.window(budget) == (25, 0)
    assert budgets.count("reservations") == 0


def test_an_intent_that_would_pass_a_limit_is_refused_and_told_why(scene, budgets):
    budget = budgets.set(100)
    first, second = scene.hold(2)
    outcomes(scene.worker, asks(first, reserve(60)))
    [answer] = append(scene.worker, asks(replace(second), reserve(41)))
    assert answer.outcome == "over_budget"
    why = json.loads(answer.why)
    assert (why["budget"], why["most"], why["spent"], why["held"], why["wanted"]) == (str(budget), 100, 0, 60, 41)
    assert (why["scope"], why["unit"], why["per"]) == ("tenant", "usd", "day")
    assert scene.row(second.run)["seq"] == second.seq
    assert budgets.window(budget) == (0, 60)
    assert outcomes(scene.worker, asks(second, reserve(40))) == ["appended"]


def test_in_one_batch_each_is_granted_what_those_before_it_left(scene, budgets):
    """As one sum, or by an update that takes one row for each, it would be all of them or one."""
    budget = budgets.set(100)
    helds = scene.hold(5)
    said = outcomes(
        scene.worker, *(asks(held, reserve(usd)) for held, usd in zip(helds, (40, 50, 20, 10, 1), strict=True))
    )
    assert said == ["appended", "appended", "over_budget", "appended", "over_budget"]
    assert budgets.window(budget) == (0, 100)


def test_a_member_is_granted_all_of_its_reservations_or_none(scene, budgets):
    tenant, task = budgets.set(100), budgets.set(30, "task", "*")
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(replace(held), reserve(20), reserve(20, "#2"))) == ["over_budget"]
    assert budgets.windows(tenant)[0][1:] == (0, 0)
    assert outcomes(scene.worker, asks(held, reserve(20), reserve(10, "#2"))) == ["appended"]
    assert (budgets.window(tenant), budgets.window(task)) == ((0, 30), (0, 30))


def test_several_budgets_apply_and_the_tightest_rules(scene, budgets):
    budgets.set(1000)
    user = budgets.set(50, "user", "p")
    budgets.set(10, "user", "somebody-else")
    [held] = scene.hold()
    [answer] = append(scene.worker, asks(replace(held), reserve(51)))
    assert (answer.outcome, json.loads(answer.why)["budget"]) == ("over_budget", str(user))
    assert outcomes(scene.worker, asks(held, reserve(50))) == ["appended"]


def test_a_budget_for_each_is_counted_for_each_by_itself(scene, budgets):
    budget = budgets.set(50, "user", "*")
    ann, ben = scene.hold(1, principal="ann") + scene.hold(1, principal="ben")
    assert outcomes(scene.worker, asks(ann, reserve(50)), asks(ben, reserve(50))) == ["appended"] * 2
    assert budgets.windows(budget) == [("ann", 0, 50), ("ben", 0, 50)]


def test_a_budget_of_each_run_is_counted_by_run(scene, budgets):
    budget = budgets.set(50, per="run")
    first, second = scene.hold(2)
    assert outcomes(scene.worker, asks(first, reserve(50)), asks(second, reserve(50))) == ["appended"] * 2
    assert outcomes(scene.worker, asks(replace(first), reserve(1, "#2"))) == ["over_budget"]
    assert sorted(budgets.windows(budget)) == sorted([(str(first.run), 0, 50), (str(second.run), 0, 50)])


def test_a_models_budget_counts_only_what_is_asked_of_it(scene, budgets):
    named, full, each = (
        budgets.set(99, "model", "gpt"),
        budgets.set(99, "model", "openai:gpt"),
        budgets.set(99, "model", "*"),
    )
    other = budgets.set(99, "model", "small", per="run")
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, reserve(parts={"gpt": 30, "small": 5}))) == ["appended"]
    assert (budgets.window(named), budgets.window(full)) == ((0, 30), (0, 30))
    assert budgets.windows(each) == [("gpt", 0, 30), ("small", 0, 5)]
    assert outcomes(scene.worker, tells(held, settle(parts={"gpt": 12, "small": 3}))) == ["appended"]
    assert (budgets.window(named), budgets.window(full)) == ((12, 0), (12, 0))
    assert budgets.windows(each) == [("gpt", 12, 0), ("small", 3, 0)]
    assert budgets.windows(other) == [(f"{held.run} small", 3, 0)]


def of_two_providers(row):
    """A chain that asks one model of two providers, each of which may take all of it."""
    return row | {"models": [row["models"][0] | {"provider": name} for name in ("openai", "azure", "openai")]}


def test_a_model_that_a_chain_asks_more_than_once_counts_once_for_each(scene, budgets):
    named, full, each = (budgets.set(99, "model", key) for key in ("gpt", "openai:gpt", "*"))
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, of_two_providers(reserve(10)))) == ["appended"]
    assert [budgets.window(one) for one in (named, full, each)] == [(0, 30), (0, 20), (0, 30)]
    assert outcomes(scene.worker, tells(held, settle(7))) == ["appended"]
    assert [budgets.window(one) for one in (named, full, each)] == [(7, 0), (7, 0), (7, 0)]


def test_who_is_called_as_each_is_counts_once(scene, budgets):
    budget = budgets.set(99, "feature", "*")
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, reserve(10, feature="*"))) == ["appended"]
    assert budgets.windows(budget) == [("*", 0, 10)]


def test_what_a_member_settles_makes_room_for_all_that_it_reserves(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(60)))
    assert outcomes(scene.worker, asks(held, reserve(90, "#2"), settle(5))) == ["appended"]
    assert budgets.window(budget) == (5, 90)


def test_a_run_without_a_session_counts_towards_no_budget_of_sessions(scene, budgets):
    budget = budgets.set(100, scope="session", key="*")
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, reserve(60))) == ["appended"]
    assert budgets.windows(budget) == []


def test_a_budget_of_a_feature_or_a_session(scene, budgets):
    feature = budgets.set(99, "feature", "search")
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(5, feature="search")))
    outcomes(scene.worker, asks(held, reserve(7, "#2", feature="chat")))
    assert budgets.window(feature) == (0, 5)


def test_tokens_and_requests_are_counted_as_money_is(scene, budgets):
    tokens, requests = budgets.set(1000, unit="tokens"), budgets.set(2, unit="requests")
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, reserve(1, tokens=900))) == ["appended"]
    assert outcomes(scene.worker, tells(held, settle(1, tokens=300))) == ["appended"]
    assert (budgets.window(tokens), budgets.window(requests)) == ((300, 0), (1, 0))
    assert outcomes(scene.worker, asks(held, reserve(1, "#2", tokens=700))) == ["appended"]
    assert outcomes(scene.worker, asks(replace(held), reserve(0, "#3"))) == ["over_budget"]


def test_an_intent_that_says_no_bound_is_asked_for_one_where_there_are_budgets(scene, budgets):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, intent=True, unbounded=True)) == ["appended"]
    budgets.set(100, "user", "somebody-else")
    assert outcomes(scene.worker, Member(replace(held), intent=True, unbounded=True)) == ["unbounded"]
    assert outcomes(scene.worker, Member(held, intent=True)) == ["appended"]


def test_what_nobody_has_a_price_for_is_refused_where_money_is_limited(scene, budgets):
    budgets.set(100, unit="tokens")
    [held] = scene.hold()
    assert outcomes(scene.worker, asks(held, reserve(None, tokens=5))) == ["appended"]
    budgets.set(100)
    assert outcomes(scene.worker, asks(replace(held), reserve(None, "#2", tokens=5))) == ["unpriced"]


def test_more_used_than_reserved_is_counted_as_an_overrun_and_blocks(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(60)))
    assert outcomes(scene.worker, tells(held, settle(130))) == ["appended"]
    assert budgets.window(budget) == (130, 0)
    assert scene.one("select reserved || '/' || used from holdfast.overruns") == "60/130"
    assert scene.one("select overran || '/' || overruns from holdfast.budget_windows") == "70/1"
    assert outcomes(scene.worker, asks(replace(held), reserve(1, "#2"))) == ["over_budget"]
    assert outcomes(scene.worker, asks(held, reserve(0, "#2", requests=0))) == ["appended"]


def test_what_was_used_unreserved_counts_and_is_an_overrun(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    assert outcomes(scene.worker, tells(held, settle(30, what="spend"))) == ["appended"]
    assert budgets.window(budget) == (30, 0)
    assert scene.one("select reserved || '/' || used from holdfast.overruns") == "0/30"


def test_an_attempt_that_was_cut_off_is_settled_at_its_bound_by_the_next(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(60)))
    assert outcomes(scene.worker, asks(replace(held), reserve(41, attempt=2))) == ["over_budget"]
    assert budgets.window(budget) == (0, 60)
    assert outcomes(scene.worker, asks(held, reserve(40, attempt=2))) == ["appended"]
    assert budgets.window(budget) == (60, 40)
    assert scene.one("select estimated from holdfast.reservations where attempt = 1") is True
    outcomes(scene.worker, tells(held, settle(5, attempt=2)))
    assert budgets.window(budget) == (65, 0)
    assert budgets.count("reservations") == 1


def test_what_nobody_knows_is_settled_at_its_bound(scene, budgets):
    money, requests = budgets.set(100), budgets.set(9, unit="requests")
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(60)))
    assert outcomes(scene.worker, tells(held, settle(None))) == ["appended"]
    assert (budgets.window(money), budgets.window(requests)) == ((60, 0), (1, 0))
    assert scene.one("select estimated from holdfast.reservations") is True


def test_a_run_that_ends_leaves_nothing_held(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(10)))
    outcomes(scene.worker, asks(held, reserve(20, "#2")))
    end = {"what": "end"}
    assert outcomes(scene.worker, Member(held, next=SUCCEED, budgets=[settle(3, "#2"), end])) == ["appended"]
    assert budgets.window(budget) == (13, 0)
    assert scene.one("select string_agg(step, ',') from holdfast.reservations where estimated") == "#1"


def test_a_settlement_is_never_refused(scene, budgets):
    budget = budgets.set(10)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(10)))
    scene.call(scene.api, TENANT, "select holdfast.end_budget(%s, %s, 'me')", TENANT, budget)
    budgets.set(0)
    assert outcomes(scene.worker, tells(held, settle(500))) == ["appended"]
    assert budgets.window(budget) == (500, 0)


def test_what_the_same_member_settles_is_there_for_what_it_reserves(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(90)))
    assert outcomes(scene.worker, asks(held, settle(20), reserve(80, "#2"))) == ["appended"]
    assert budgets.window(budget) == (20, 80)


def test_a_refused_member_settles_nothing(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(90)))
    assert outcomes(scene.worker, asks(replace(held), settle(20), reserve(81, "#2"))) == ["over_budget"]
    assert budgets.window(budget) == (0, 90)
    assert outcomes(scene.worker, tells(held, settle(20))) == ["appended"]


def test_an_append_that_comes_again_changes_nothing(scene, budgets):
    """As where its reply was lost: alone, and in a batch with one that changes the same window."""
    budget = budgets.set(100)
    first, second = scene.hold(2)
    outcomes(scene.worker, asks(first, reserve(60), reserve(7, "#2")))
    before = replace(first)
    told = [settle(25), settle(5, "aside", 0, what="spend")]
    assert outcomes(scene.worker, tells(first, *told)) == ["appended"]
    assert budgets.window(budget) == (30, 7)
    assert outcomes(scene.worker, tells(replace(before), *told)) == ["fenced"]
    again = [tells(replace(before), *told, {"what": "end"}), asks(second, reserve(10))]
    assert outcomes(scene.worker, *again) == ["fenced", "appended"]
    assert budgets.window(budget) == (30, 17)
    assert scene.one("select overruns from holdfast.budget_windows") == 1


def test_what_is_settled_is_not_settled_again(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(60), reserve(20, "#2")))
    outcomes(scene.worker, tells(held, settle(25), settle(None, "#2")))
    assert budgets.window(budget) == (45, 0)
    for told in (settle(25), settle(9, "#2"), settle(what="void"), settle(0, "#2", what="void"), {"what": "end"}):
        assert outcomes(scene.worker, tells(held, told)) == ["appended"]
        assert budgets.window(budget) == (45, 0)


def test_what_a_holder_left_is_settled_at_its_bound_once_somebody_says_that_nobody_waits_for_it(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(60), reserve(20, "#2")))
    assert outcomes(scene.worker, tells(held, settle(what="void"))) == ["appended"]
    assert budgets.window(budget) == (60, 20)
    assert scene.one("select string_agg(step, ',') from holdfast.reservations where estimated") == "#1"


def test_a_window_that_another_holds_is_busy_and_the_others_go_in(scene, budgets):
    budget = budgets.set(100, "user", "*")
    ann, ben = scene.hold(1, principal="ann") + scene.hold(1, principal="ben")
    outcomes(scene.worker, asks(ann, reserve(5)))
    with scene.locked("budget_windows", "budget = %s and owner = 'ann'", budget):
        batch = [asks(replace(ann), reserve(5, "#2")), asks(ben, reserve(5))]
        assert outcomes(scene.worker, *batch) == ["busy", "appended"]
    assert outcomes(scene.worker, asks(ann, reserve(5, "#2"))) == ["appended"]


def test_who_makes_a_window_keeps_nobody_waiting(scene, budgets):
    budgets.set(100)
    ann, ben = scene.hold(2)
    with scene.connect("holdfast_worker") as other, other.transaction():
        assert outcomes(other, asks(ann, reserve(5))) == ["appended"]
        answer = Aside(lambda: outcomes(scene.worker, asks(replace(ben), reserve(5))))
        assert answer.result() == ["busy"]
    assert outcomes(scene.worker, asks(ben, reserve(5))) == ["appended"]


def test_who_raises_a_window_that_is_not_there_keeps_no_append_waiting(scene, budgets):
    """It has made the window and waits for a run; an append that holds another run must not wait for the window."""
    budget = budgets.set(100)
    first, second = sorted(scene.hold(2), key=lambda held: held.run)
    api = scene.connect("holdfast_api")
    raised = (TENANT, budget, 1, "scope", "key", b"request")
    sql = "select outcome from holdfast.raise_budget(%s, %s, '', %s, 'why', 'me', %s, %s, %s)"
    with scene.locked("runs", "id = %s", first.run):
        raising = Aside(lambda: scene.call(api, TENANT, sql, *raised))
        scene.until_waiting(api)
        answer = Aside(lambda: outcomes(scene.worker, asks(replace(second), reserve(5))))
        assert answer.result() == ["busy"]
    assert raising.result()[0].outcome == "raised"
    scene.admin.execute("update holdfast.runs set stale = false")
    assert outcomes(scene.worker, asks(second, reserve(101))) == ["appended"]


def test_alerts_of_an_amount_that_comes_again_are_told_once(scene, budgets):
    for amount in (100, 200, 100):
        budgets.set(amount)
        scene.admin.execute("update holdfast.runs set stale = false")
        [held] = scene.hold()
        outcomes(scene.worker, asks(held, reserve(60 if amount == 100 else 1)))
        outcomes(scene.worker, tells(held, settle(60 if amount == 100 else 1)))
    assert scene.one("select told & 1 from holdfast.budget_windows") == 1
    assert scene.one("select count(*) from holdfast.budget_alerts where what = 'half' and amount = 100") == 1


def test_a_reservation_belongs_to_the_window_in_which_it_was_made(scene, budgets):
    budget = budgets.set(100, per="hour")
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(80)))
    scene.move_clock(timedelta(hours=1).total_seconds())
    assert outcomes(scene.worker, asks(held, reserve(70, "#2"))) == ["appended"]
    assert outcomes(scene.worker, tells(held, settle(9), settle(8, "#2"))) == ["appended"]
    assert [row[1:] for row in budgets.windows(budget)] == [(9, 0), (8, 0)]


def test_a_lower_limit_binds_new_reservations_only(scene, budgets):
    budget = budgets.set(100)
    [held] = scene.hold()
    outcomes(scene.worker, asks(held, reserve(80)))
    assert budgets.set(50) == budget
    assert outcomes(scene.worker, asks(replace(held), reserve(1, "#2"))) == ["over_budget"]
    assert outcomes(scene.worker, tells(held, settle(40))) == ["appended"]
    assert outcomes(scene.worker, asks(held, reserve(10, "#2"))) == ["appended"]


def test_alerts_are_raised_once_as_a_window_fills(scene, budgets):
    budgets.set(100)
    [held] = scene.hold()
    for number, usd in enumerate((10, 45, 30, 10), 1):
        outcomes(scene.worker, asks(held, reserve(usd, f"#{number}")))
        outcomes(scene.worker, tells(held, settle(usd, f"#{number}")))
    told = "select string_agg(what, ',' order by spent) from holdfast.budget_alerts"
    assert scene.one(told) == "half,most"
    assert outcomes(scene.worker, asks(held, reserve(6, "#9"))) == ["over_budget"]
    assert outcomes(scene.worker, asks(held, reserve(6, "#9"))) == ["over_budget"]
    assert scene.one("select count(*) from holdfast.budget_alerts where what = 'all'") == 1
