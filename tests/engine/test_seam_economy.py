"""Cheaper under pressure: as a budget fills up, models that the task names answer, and the journal says why."""

import pytest
from pydantic_ai.models.function import FunctionModel
from tests.engine.lab import WHO
from tests.engine.test_seam_budgets import allow, sql
from tests.engine.test_seam_costs import Model, priced
from tests.engine.test_seam_money import EACH, stepping, steps

from holdfast import Cheaper, UserError
from holdfast.domain import events as ev
from holdfast.domain.economy import cheaper_at
from holdfast.service.show_run import show_run


def test_the_one_that_takes_over_last_rules():
    choices = [Cheaper(95, "tiny"), Cheaper(50, "small")]
    assert [getattr(cheaper_at(choices, at), "model", None) for at in (0, 49, 50, 94, 95, 400)] == [
        None, None, "small", "small", "tiny", "tiny"
    ]  # fmt: skip
    assert cheaper_at([], 100) is None
    with pytest.raises(UserError, match="percentage"):
        Cheaper(0, "small")


async def test_a_cheaper_model_answers_once_a_budget_is_half_spent(make_lab):
    own, cheap = Model(*steps(6)), Model(*steps(6), name="priced-two")
    lab = await priced(
        make_lab, stepping(own), economy=[Cheaper(50, FunctionModel(cheap.answer, model_name="priced-two"))]
    )
    budget = allow(lab, f"{8 * EACH / 1_000_000}usd/day")
    await lab.start()
    await lab.work()
    asked = await lab.of(ev.ModelRequested)
    assert [event.instead_of for event in asked][:5] == ["", "", "", "", "priced-one"]
    assert asked[4].model == "priced-two"
    assert asked[4].switched == f"budget {budget} is at 50 %"
    assert (own.asked, cheap.asked > 0) == (4, True)
    shown = await show_run(lab.services, WHO, lab.run)
    assert any(step.title == "asked priced-two instead of priced-one" for step in shown.steps)
    assert sql(lab, "select bool_and(held = 0) from holdfast.budget_windows") == [(True,)]


async def test_without_budgets_the_agents_own_model_answers(make_lab):
    own, cheap = Model("done"), Model("cheap")
    lab = await priced(make_lab, stepping(own), economy=[Cheaper(1, FunctionModel(cheap.answer))])
    await lab.start()
    assert await lab.work() == "finished"
    assert (own.asked, cheap.asked) == (1, 0)
