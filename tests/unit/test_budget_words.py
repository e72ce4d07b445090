"""Words of budgets: what people write, what they are called, and what a journal's words name."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from holdfast.domain.budgets import (
    AMOUNT_MOST,
    Allowance,
    Shortage,
    called,
    forecast,
    read_amount,
    read_called,
)

AT = datetime(2026, 11, 26, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "kind",
    [("tenant", "", "usd", "day"), ("model", "meta/llama:8b", "tokens", "month"), ("user", "*", "requests", "run")],
)
def test_a_budget_is_read_by_what_it_is_called(kind):
    assert read_called(called(*kind)) == kind


@pytest.mark.parametrize(
    "text", ["", "tenant", "tenant/day", "tenant/usd/day", "galaxy/day/usd", "user/day/usd", "tenant:x/day/usd"]
)
def test_what_is_no_budget_is_said(text):
    with pytest.raises(ValueError, match="Write"):
        read_called(text)


@pytest.mark.parametrize("value", ["-1", "x", "1e999999", "Infinity", "NaN", True, None, "0.0000001", str(AMOUNT_MOST)])
def test_what_is_no_amount_of_money_is_refused(value):
    with pytest.raises(ValueError, match="is no amount of usd"):
        read_amount("usd", value)


def test_an_allowance_is_read_as_it_is_written():
    assert str(Allowance.parse("0.50usd/run")) == "0.5usd/run"
    assert Allowance.parse("5000000 tokens/month") == Allowance(5_000_000, "tokens", "month")


def test_the_words_of_a_shortage_name_its_budget():
    budget = str(uuid4())
    short = Shortage(
        budget=budget, scope="user", key="*", owner="ann", unit="usd", per="day", most=5, spent=4, held=0,
        wanted=2, since=AT, until=AT + timedelta(days=1), at=AT,
    )  # fmt: skip
    assert str(short).startswith("The budget of user 'ann' for a day has no room")
    assert str(short).endswith(f"Who may can raise it: holdfast budget raise {budget}.")


def test_a_forecast_needs_a_tenth_of_the_time_and_an_end():
    day, end = timedelta(days=1), AT + timedelta(days=1)
    assert forecast(10, AT, end, AT + timedelta(hours=12), day) == 20
    assert forecast(10, AT + timedelta(hours=12), end, AT + timedelta(hours=18), day) == 20, "it was made at noon"
    assert forecast(10, AT, end, AT + timedelta(hours=2), day) is None
    assert forecast(10, AT, None, AT + timedelta(hours=12), day) is None
