"""A request that came to nothing: on the bill, not on the bill, or nobody knows."""

import httpx2
import pytest
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError

from holdfast.engine.pricing import UNFINISHED, cost_of_failure
from holdfast.guards.prices import PriceBook


def caused(by: Exception) -> ModelAPIError:
    error = ModelAPIError("gpt-5", "Connection error.")
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "may_cost"),
    [
        (ModelHTTPError(429, "gpt-5"), False),
        (ModelHTTPError(500, "gpt-5"), False),
        (caused(httpx2.ConnectError("refused")), False),
        (caused(httpx2.ConnectTimeout("late")), False),
        (caused(httpx2.ReadTimeout("late")), True),
        (caused(httpx2.ReadError("reset")), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
    ],
)
def test_what_the_provider_refused_or_never_saw_costs_nothing(error, may_cost):
    found = cost_of_failure(PriceBook(), error, "gpt-5", None)
    assert (found is not None) == may_cost
    if found is not None:
        assert (found.usd_micros, found.unpriced) == (None, [UNFINISHED])
