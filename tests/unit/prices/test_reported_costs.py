"""What providers say that a response cost, in their own words."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from holdfast.domain.events import Cost
from holdfast.engine.pricing import cost_of, together
from holdfast.guards.prices import PriceBook, PriceTable

BOOK = PriceBook([PriceTable.model_validate({"model": "m", "input": 10, "output": 100})])


def response(details: dict[str, Any] | None = None, model: str = "m", **usage: Any) -> ModelResponse:
    used = RequestUsage(**{"input_tokens": 100, "output_tokens": 10} | usage)
    return ModelResponse(
        [TextPart("x")], model_name=model, provider_name="openrouter", usage=used, provider_details=details
    )


@pytest.mark.parametrize(
    ("details", "reported"),
    [
        ({"cost": 0.5}, 500_000),
        ({"cost": 0.5, "is_byok": True, "upstream_inference_cost": 0.25}, 750_000),
        ({"cost": 0.5, "is_byok": False, "upstream_inference_cost": 0.25}, 500_000),
        ({"cost": "lots"}, None),
        ({"cost": True}, None),
        ({"cost": -1}, None),
        ({"cost": float("nan")}, None),
        (None, None),
    ],
)
def test_a_cost_in_the_details_is_kept_beside_ours(details, reported):
    found = cost_of(BOOK, response(details), "m")
    assert (found.usd_micros, found.reported_usd_micros) == (2000, reported)
    assert bool(found.differs) == (reported is not None)


def test_a_gateways_cost_stands_for_ours_where_we_have_none():
    found = cost_of(BOOK, response(model="unheard-of", cost=Decimal("0.0038")), "unheard-of")
    assert (found.usd_micros, found.unpriced, found.source) == (3800, [], "reported by openrouter")


def test_a_total_that_is_not_the_sum_and_usage_left_out_are_told():
    told = cost_of(BOOK, response(details={"total_tokens": 999}), "m")
    assert told.differs == []
    used = response()
    used.usage.details["total_tokens"] = 999
    assert cost_of(BOOK, used, "m").differs == ["the total is given as 999 tokens, and input and output are 110"]
    silent = cost_of(BOOK, response(unmeasured_requests=1, input_tokens=0, output_tokens=0), "m")
    assert (silent.usd_micros, silent.unpriced) == (None, ["usage was not reported"])


def test_requests_that_made_one_response_are_added_up():
    one = Cost(usd_micros=5, kinds={"input_tokens": 1}, source="a", reported_usd_micros=4)
    other = Cost(unpriced=["model"], kinds={"input_tokens": 2, "output_tokens": 3}, source="b")
    assert together([]) is None
    assert together([one]) is one
    both = together([one, other])
    assert both is not None
    assert (both.usd_micros, both.unpriced, both.reported_usd_micros) == (5, ["model"], None)
    assert both.kinds == {"input_tokens": 3, "output_tokens": 3}
