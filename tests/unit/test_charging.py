"""What tools declare and charge: amounts that are none are refused, and nothing is charged outside a call."""

from decimal import Decimal
from functools import wraps
from typing import Any

import pytest

import holdfast
from holdfast import App, UserError
from holdfast.domain.money import usd, usd_micros, usd_micros_at_most
from holdfast.effects.charging import costs_of
from holdfast.testing import effect_scope


def test_what_is_charged_in_a_call_adds_up():
    with effect_scope() as scope:
        holdfast.charge("0.0135")
        holdfast.charge(Decimal("0.000001"))
        holdfast.charge("-0.01")
    assert scope.charges == [13_500, 1, -10_000]


def test_a_call_gives_back_no_more_than_it_has_charged():
    with effect_scope() as scope:
        holdfast.charge("0.01")
        with pytest.raises(UserError, match="gives back more than this call has charged"):
            holdfast.charge("-0.010001")
        holdfast.charge("-0.01")
    assert scope.charges == [10_000, -10_000]


def test_outside_a_call_nothing_is_charged():
    with pytest.raises(UserError, match=r"outside a tool call .*effect_scope"):
        holdfast.charge("1")


@pytest.mark.parametrize("given", [0.1, True, "cheap", "nan", "inf", None, "10000000", "-1"])
def test_what_is_no_amount_is_refused(given: Any):
    with pytest.raises(UserError, match="is no amount of USD"):
        holdfast.costs(given)
    with pytest.raises(UserError, match="is no amount of USD"):
        App("a").task("t", agent=_agent(), costs={"look": given})
    if given != "-1":
        with effect_scope(), pytest.raises(UserError, match="is no amount of USD"):
            holdfast.charge(given)


def test_a_tool_declares_one_cost_and_keeps_it_under_wrappers():
    @holdfast.costs("0.02")
    def look() -> None: ...

    @wraps(look)
    def wrapped() -> None: ...

    assert costs_of(look) == costs_of(wrapped) == 20_000
    assert costs_of(len) is None
    with pytest.raises(UserError, match="declares two costs"):
        holdfast.costs("0.03")(look)


def test_money_is_whole_millionths_and_written_exactly():
    assert (usd_micros(Decimal("0.0000005")), usd_micros(Decimal("0.0000015"))) == (0, 2), (
        "to the nearest, ties to even"
    )
    assert usd_micros_at_most(Decimal("0.0000001")) == 1
    assert [str(usd(micros)) for micros in (0, 1, 10_000, 1_500_000, 27_500)] == [
        "0.00", "0.000001", "0.01", "1.50", "0.0275",
    ]  # fmt: skip


def _agent() -> Any:
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    return Agent(TestModel())
