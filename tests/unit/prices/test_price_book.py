"""What a response costs, by tables of the configuration and by the catalogue; and what has no price."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.guards.prices import Answered, PriceBook, PriceTable
from holdfast.guards.prices.rates import Rates

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


def table(**given: Any) -> PriceTable:
    return PriceTable.model_validate({"input": "10", "output": "100"} | given)


def cost(book: PriceBook, model: str = "m", at: datetime = AT, **more: Any) -> Any:
    usage = {
        kind: Decimal(count) for kind, count in more.pop("usage", {"input_tokens": 100, "output_tokens": 10}).items()
    }
    return book.cost(Answered(model=model, at=at, usage=usage, **more))


def micros(*tables: PriceTable, **more: Any) -> int | None:
    return cost(PriceBook(tables), **more).usd_micros


def test_a_table_of_ones_own_comes_before_the_catalogue():
    ours = cost(PriceBook([table(model="gpt-5")]), "gpt-5", provider="openai")
    theirs = cost(PriceBook(), "gpt-5", provider="openai")
    assert (ours.usd_micros, ours.source) == (2000, "prices[0]: gpt-5")
    assert (theirs.usd_micros, theirs.source.split(":")[0].split()[0]) == (225, "genai-prices")
    assert theirs.on == "2026-11-26"


def test_each_kind_has_its_price():
    full = table(
        model="m", cache_read="1", cache_write="12.5", reasoning="200", input_audio="40", output_audio="80",
        cache_audio_read="4", input_image="20", output_image="300", web_search="10", code_execution="30", request="5",
    )  # fmt: skip
    book = PriceBook([full])

    def of(**usage: int) -> int | None:
        return cost(book, usage={"input_tokens": 1000, "output_tokens": 1000, **usage}).usd_micros

    plain = 10_000 + 100_000 + 5_000
    assert of() == plain
    assert of(cache_read_tokens=400) == plain - 400 * 9
    assert of(cache_write_tokens=400) == plain + 400 * 2.5
    assert of(output_reasoning_tokens=1000) == plain + 1000 * 100
    assert of(input_audio_tokens=100) == plain + 100 * 30
    assert of(input_image_tokens=100, output_image_tokens=10) == plain + 100 * 10 + 10 * 200
    assert of(cache_read_tokens=50, input_audio_tokens=60, cache_audio_read_tokens=50) == plain + 10 * 30 - 50 * 6
    assert of(web_searches=2, code_executions=1) == plain + 20_000 + 30_000


def test_a_price_holds_from_its_day_on():
    old, new = table(model="m"), table(model="m", input="1", output="1", **{"from": date(2026, 11, 26)})
    assert micros(old, new, at=datetime(2026, 11, 25, 23, 59, tzinfo=UTC)) == 2000
    assert micros(old, new, at=datetime(2026, 11, 26, 0, 0, tzinfo=UTC)) == 110
    assert cost(PriceBook([old, new])).since == "2026-11-26"


def test_the_closest_table_holds():
    any_, exact = table(model="gpt-*", input="1", output="1"), table(model="gpt-9")
    assert micros(any_, exact, model="gpt-9") == 2000
    assert micros(any_, exact, model="gpt-8") == 110
    at_azure = table(model="gpt-9", provider="azure", input="3", output="3")
    assert micros(any_, exact, at_azure, model="gpt-9", provider="azure") == 330
    long = table(model="gpt-9", above=99, input="20", output="20")
    assert micros(exact, long, model="gpt-9") == 2200
    assert micros(exact, long, model="gpt-9", usage={"input_tokens": 99, "output_tokens": 0}) == 990


def test_a_model_is_found_by_the_name_it_was_asked_by():
    assert micros(table(model="my-deployment"), model="gpt-5-2026-08-07", asked="my-deployment") == 2000


def test_a_service_tier_has_its_price_and_one_without_is_told():
    usual, flex = table(model="m"), table(model="m", tier="flex", input="5", output="50")
    assert micros(usual, flex, context={"service_tier": "flex"}) == 1000
    assert micros(usual, flex, context={"service_tier": "default"}) == 2000
    told = cost(PriceBook([usual]), context={"service_tier": "priority"})
    assert (told.usd_micros, told.differs) == (2000, ["tier 'priority' has no price of its own"])
    assert cost(PriceBook(), "gpt-5", provider="openai", context={"service_tier": "priority"}).usd_micros == 450


@pytest.mark.parametrize(
    ("more", "unpriced"),
    [
        ({"model": "unheard-of"}, ["model"]),
        ({"model": "gpt-5", "provider": "a-provider-of-ones-own"}, ["model"]),
        ({"model": "gpt-5", "provider": "openai", "measured": False}, ["usage was not reported"]),
        (
            {"model": "gpt-5", "provider": "openai", "usage": {"input_tokens": 10, "cache_read_tokens": 99}},
            ["usage contradicts itself"],
        ),
    ],
)
def test_what_has_no_price_is_unknown_and_never_nothing(more, unpriced):
    found = cost(PriceBook(), **more)
    assert (found.usd_micros, found.unpriced) == (None, unpriced)


def test_a_kind_without_a_price_is_told_beside_what_is_known():
    found = cost(PriceBook([table(model="m")]), usage={"input_tokens": 100, "output_tokens": 10, "web_searches": 2})
    assert (found.usd_micros, found.unpriced) == (2000, ["web_searches"])


def test_what_costs_nothing_is_said_to():
    own = table(model="llama", input=0, output=0)
    found = cost(PriceBook([own]), "llama")
    assert (found.usd_micros, found.unpriced) == (0, [])


def test_what_the_provider_says_is_kept_and_told_where_it_differs():
    book = PriceBook([table(model="m")])
    same = cost(book, reported=Decimal("0.00201"))
    assert (same.usd_micros, same.reported_usd_micros, same.differs) == (2000, 2010, [])
    other = cost(book, reported=Decimal("0.5"), total=7)
    assert (other.usd_micros, other.reported_usd_micros) == (2000, 500_000)
    assert other.differs == [
        "the total is given as 7 tokens, and input and output are 110",
        "the provider says it cost $0.50",
    ]
    only = cost(book, "unheard-of", provider="openrouter", reported=Decimal("0.5"))
    assert (only.usd_micros, only.unpriced, only.source) == (500_000, [], "reported by openrouter")


def test_usage_that_contradicts_itself_is_told():
    told = cost(PriceBook(), usage={"output_tokens": 5, "output_reasoning_tokens": 9, "input_tokens": -1}).differs
    assert told == [
        "input_tokens is -1",
        "cache_read_tokens and cache_write_tokens are 0, more than input_tokens, which is -1",
        "output_reasoning_tokens are 9, more than output_tokens, which is 5",
        "input_audio_tokens and input_image_tokens are 0, more than input_tokens, which is -1",
    ]


def every_price() -> list[Any]:
    found = list[Any]()
    for provider in providers:
        for model in provider.models:
            found += [model.prices] if not isinstance(model.prices, list) else [one.prices for one in model.prices]
    return found


PRICES = every_price()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PRICES), st.integers(0, 10**7), st.integers(0, 10**6), st.data())
def test_the_written_out_sum_is_the_catalogues_own(price, size, answer, data):
    read = data.draw(st.integers(0, size))
    written = data.draw(st.integers(0, size - read))
    usage = {
        "input_tokens": size, "output_tokens": answer, "cache_read_tokens": read, "cache_write_tokens": written,
        "output_reasoning_tokens": data.draw(st.integers(0, answer)), "web_searches": data.draw(st.integers(0, 9)),
    }  # fmt: skip
    kept = {kind: Decimal(count) for kind, count in usage.items() if count}
    try:
        theirs = price.calc_price(Usage(**kept))["total_price"]
    except ValueError:
        return  # it wants to be told more than this
    assert Rates(price).total(kept) == theirs


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PRICES), st.integers(1, 10**6), st.integers(1, 10**5), st.integers(0, 5), st.data())
def test_no_request_costs_more_than_its_bound(price, size, answer, searches, data):
    from holdfast.guards.prices.bound import dearest

    bound = dearest([Rates(price)])
    if bound is None:
        return
    read = data.draw(st.integers(0, size))
    usage = {
        "input_tokens": size, "output_tokens": answer, "cache_read_tokens": read, "cache_write_tokens": size - read,
        "output_reasoning_tokens": data.draw(st.integers(0, answer)), "web_searches": searches,
    }  # fmt: skip
    most = bound.usd_micros(size, answer, searches)
    if most is None:
        return
    paid = Rates(price).total({kind: Decimal(count) for kind, count in usage.items() if count})
    assert paid * 1_000_000 <= most


def test_a_bound_is_over_all_that_may_apply():
    usual = table(model="m", cache_write="12.5")
    priority, long = (
        table(model="m", tier="priority", input="20", output="200"),
        table(model="m", above=10, input="1", output="400"),
    )
    tomorrow = table(model="m", input="99", output="1", **{"from": date(2026, 11, 27)})
    bound = PriceBook([usual, priority, long]).bound("m", AT)
    assert bound is not None
    assert (bound.input_mtok, bound.output_mtok) == (20, 400)
    assert bound.usd_micros(1_000_000, 0) == 20_000_000
    assert bound.usd_micros(1, 1) == 420, "what is not a whole millionth is rounded up"
    later = PriceBook([usual, tomorrow]).bound("m", AT)
    assert later is not None
    assert later.input_mtok == 99, "the answer may come tomorrow"
    assert bound.usd_micros(1, 1, server_tools=1) is None, "a tool without a price has no bound"


def test_a_bound_that_was_looked_up_before_is_that_of_the_moment():
    book = PriceBook([table(model="m"), table(model="m", input="99", output="1", **{"from": date(2026, 11, 28)})])
    before, after = AT.replace(hour=23, minute=59, second=59), AT.replace(day=27, hour=0)
    found = [book.bound("m", at) for at in (before, after, before, after)]
    assert [bound.input_mtok for bound in found if bound is not None] == [10, 99, 10, 99]


def test_the_bound_of_the_catalogue_knows_cache_writes_and_long_contexts():
    """100k tokens of Sonnet cost $0.30, or as cache writes for an hour $0.60; beyond 200k each costs twice as much."""
    bound = PriceBook().bound("claude-sonnet-4-5", AT, provider="anthropic")
    assert bound is not None
    assert (bound.input_mtok, bound.output_mtok) == (12, Decimal("22.5"))


def test_an_unpriced_model_has_no_bound():
    assert PriceBook().bound("unheard-of", AT, provider="openai") is None
    assert PriceBook([table(model="m", tier="flex")]).bound("m", AT) is not None
    assert PriceBook([table(model="other")]).bound("m", AT) is None
