"""Limits as they are written, and as they add up."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain import events as ev
from holdfast.domain.errors import UserError
from holdfast.domain.ids import Ref
from holdfast.domain.ledger import lines_of
from holdfast.domain.limits import SINGLE, Limits, Reached, as_written, lowest, raised, read_ceilings, read_stored
from holdfast.domain.recovery import Recovery
from holdfast.domain.spent import Spent


def test_limits_are_ceilings_by_name():
    limits = Limits(
        steps=20,
        calls={"pay": 2},
        tokens=5000,
        wall_clock="1h 30m",
        deadline=timedelta(days=1),
        writes={"bank": 3},
        amounts={"refunded": Decimal("499.99")},
    )
    assert limits.ceilings() == {
        "steps": 20,
        "tokens": 5000,
        "wall_clock": 5400,
        "deadline": 86_400,
        "calls:pay": 2,
        "writes:bank": 3,
        "writes:": 0,
        "amount:refunded": 4_999_900,
    }
    assert Limits().ceilings() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"steps": True},
        {"tool_calls": 2.5},
        {"calls": {"pay": "2"}},
        {"calls": {"p y": 2}},
        {"wall_clock": "soon"},
        {"wall_clock": -3},
        {"wall_clock": float("inf")},
        {"deadline": float("nan")},
        {"amounts": {"refunded": "0.00001"}},
        {"amounts": {"refunded": "much"}},
        {"max_output_tokens": 0},
    ],
)
def test_what_cannot_be_counted_to_is_refused_by_name(wrong: dict[str, Any]):
    with pytest.raises(UserError, match=next(iter(wrong)).rstrip("s")):
        Limits(**wrong)


def test_people_write_the_same_and_are_told_what_there_is():
    assert read_ceilings({"steps": 4, "wall_clock": "2m", "calls:pay": 1, "amount:paid": "1.5"}) == {
        "steps": 4,
        "wall_clock": 120,
        "calls:pay": 1,
        "amount:paid": 15_000,
    }
    for wrong in ({"stepps": 4}, {"calls:": 3}, {"max_output_tokens": 4}, {"amount": 4}):
        with pytest.raises(ValueError, match="There is no limit"):
            read_ceilings(wrong)
    with pytest.raises(ValueError, match="steps is 'many'"):
        read_ceilings({"steps": "many"})


CEILINGS = st.dictionaries(
    st.sampled_from([*SINGLE, "calls:pay", "writes:bank", "amount:paid", "amount:a b"]), st.integers(0, 2**53 - 1)
)


@given(CEILINGS)
def test_they_are_written_as_people_write_them_and_read_again(ceilings: dict[str, int]):
    written = as_written(ceilings)
    assert read_ceilings(written) == ceilings
    assert read_stored(ceilings) == ceilings
    assert all(
        isinstance(most, str) == (name.startswith("amount:") or name == "cost_usd") for name, most in written.items()
    )


def test_money_and_amounts_are_written_in_full():
    given = {"cost_usd": "0.50", "wall_clock": "10m", "amount:paid": "200"}
    assert as_written(read_ceilings(given)) == {"cost_usd": "0.50", "wall_clock": 600, "amount:paid": "200"}


@pytest.mark.parametrize(
    "wrong", [{"stepz": 1}, {"steps": -1}, {"steps": "1"}, {"steps": True}, {"steps": 2**53}, {"writes:": 0}, [], None]
)
def test_what_is_stored_elsewhere_and_is_none_is_refused(wrong: Any):
    with pytest.raises(ValueError, match=r"stepz|steps|writes:|no names"):
        read_stored(wrong)


def test_whose_limit_is_reached_and_how_it_is_raised_is_said():
    reached = Reached("tool_calls", 2, 2, 1, "a call of 'pay'")
    assert str(reached) == "The limit on tool calls is reached: 2 of 2, and a call of 'pay' comes next."
    of_tenant = reached._replace(most=1, tenants=2)
    assert str(of_tenant).startswith("The tenant's limit on tool calls is reached: 2 of 2, and a call of 'pay' comes")
    assert str(of_tenant).endswith("`holdfast tenants limits set tool_calls=NUMBER`.")
    assert str(of_tenant._replace(own=1)).endswith("=NUMBER`. The run's own, 1, has to be raised, too.")


def test_the_lowest_rules_and_raising_lowers_nothing():
    assert lowest({"steps": 5, "tokens": 9}, {"steps": 7, "depth": 1}) == {"steps": 5, "tokens": 9, "depth": 1}
    assert raised({"steps": 5}, [{"steps": 9}, {"steps": 7, "tokens": 3}]) == {"steps": 9}


def test_a_request_lets_nothing_be_written_to_that_the_task_does_not():
    task, request = Limits(writes={"bank": 2}).ceilings(), read_ceilings({"writes:mail": 5, "writes:bank": 1})
    both = lowest(task, request)
    assert (both["writes:mail"], both["writes:bank"]) == (0, 1)
    assert lowest(request, task) == both


def called(call: str, *, recovery: Recovery = Recovery.IDEMPOTENT, attempt: int = 1, **more: Any) -> ev.ToolStarted:
    return ev.ToolStarted(
        scope="",
        step=1,
        call=call,
        tool="pay",
        recovery=recovery,
        key=call,
        args=Ref("a"),
        schema="",
        attempt=attempt,
        **more,
    )


def asked(step: int, attempt: int = 1, bound: ev.Usage | None = None) -> ev.ModelRequested:
    return ev.ModelRequested(scope="", step=step, attempt=attempt, model="m", messages=ev.Messages(), bound=bound)


def answered(step: int, tokens: int, attempt: int = 1) -> ev.ModelResponded:
    usage = ev.Usage(input_tokens=tokens, output_tokens=1)
    return ev.ModelResponded(
        scope="",
        step=step,
        attempt=attempt,
        response=Ref("r"),
        history=ev.Messages(),
        model="m",
        usage=usage,
        latency_ms=0,
    )


def test_a_step_that_is_tried_again_counts_once():
    spent = Spent()
    for event in (asked(1), asked(1, 2), called("a"), called("a", attempt=2), called("b", recovery=Recovery.PURE)):
        spent.add(event)
    counts = {
        name: spent.counts[name] for name in ("steps", "model_requests", "tool_calls", "side_effects", "calls:pay")
    }
    assert counts == {"steps": 3, "model_requests": 1, "tool_calls": 2, "side_effects": 1, "calls:pay": 2}


def test_what_a_request_may_use_counts_until_it_is_known_and_for_good_where_it_never_is():
    bound = ev.Usage(input_tokens=100, output_tokens=50)
    spent = Spent()
    spent.add(asked(1, 1, bound))
    assert spent.counts["tokens"] == 150
    spent.add(asked(1, 2, bound))  # the worker died in between: nobody knows what the first one cost
    spent.add(answered(1, 10, attempt=2))
    assert spent.counts["tokens"] == 150 + 11


def test_models_that_a_call_asked_give_no_tokens_back():
    spent = Spent()
    spent.add(answered(1, 10))
    usage = ev.Usage(input_tokens=-5000, output_tokens=7, requests=1)
    spent.add(ev.ToolFinished(scope="", step=1, call="a", tool="t", outcome="value", model_args=Ref("a"), usage=usage))
    assert (spent.counts["tokens"], spent.counts["model_requests"]) == (11 + 7, 1)


UNKNOWN = ev.Cost(unpriced=["an answer that did not come to its end"])


def failed(step: int, **more: Any) -> ev.ModelFailed:
    return ev.ModelFailed(scope="", step=step, attempt=1, error="E", message=Ref("m"), **more)


def test_what_failed_costs_nothing_only_where_its_provider_refused_it_or_never_saw_it():
    bound = ev.Usage(input_tokens=100, output_tokens=50)
    for failure, tokens in (
        (failed(1, status=503), 0),
        (failed(1), 0),
        (failed(1, cost=UNKNOWN), 150),
        (failed(1, failed=[ev.FailedAttempt(model="m", outcome="error", cost=cost) for cost in (None, UNKNOWN)]), 150),
        (failed(1, failed=[ev.FailedAttempt(model="m", outcome="error")]), 0),
        (failed(1, usage=ev.Usage(input_tokens=9, output_tokens=1)), 10),
    ):
        spent = Spent()
        spent.add(asked(1, 1, bound))
        spent.add(failure)
        assert spent.counts["tokens"] == tokens


def test_a_system_that_is_not_named_may_not_be_written_to():
    ceilings = Limits(writes={"bank": 1}).ceilings()
    assert Spent().reached(called("a", system="bank"), ceilings, {}) is None
    reached = Spent().reached(called("a", system="mail"), ceilings, {})
    assert reached is not None
    assert (reached.limit, reached.most) == ("writes:mail", 0)
    more = raised(ceilings, [{"writes:mail": 1}])
    assert Spent().reached(called("a", system="mail"), more, {}) is None
    assert Spent().reached(called("a", recovery=Recovery.PURE), ceilings, {}) is None


def test_an_amount_that_is_turned_down_is_taken_back():
    spent = Spent()
    spent.add(called("a", amounts={"paid": 70_000}))
    spent.add(ev.ToolFinished(scope="", step=1, call="a", tool="pay", outcome="retry", model_args=Ref("a")))
    assert spent.counts["amount:paid"] == 0
    spent.add(called("b", amounts={"paid": 70_000}))
    spent.add(ev.ToolFinished(scope="", step=1, call="b", tool="pay", outcome="failed", model_args=Ref("a")))
    assert spent.counts["amount:paid"] == 70_000, "it may have happened"


def test_what_is_counted_of_money_is_what_the_ledger_says():
    paid = ev.Cost(usd_micros=300)
    events: list[Any] = [
        asked(1),
        replace(answered(1, 9), cost=paid, failed=[ev.FailedAttempt(model="other", outcome="rejected", cost=paid)]),
        ev.OutputProcessed(scope="", step=1, call="o", outcome="value", name="send", cost=paid),
        asked(2),
        failed(2, failed=[ev.FailedAttempt(model="other", outcome="error", cost=paid)]),
    ]
    spent = Spent.of(events)
    assert spent.counts["cost_usd"] == sum(line.amounts.cost_usd_micros for one in events for line in lines_of(one))
    assert spent.counts["cost_usd"] == 1200


def test_a_rejected_answer_used_tokens():
    used = ev.Usage(input_tokens=70, output_tokens=5)
    spent = Spent.of([replace(answered(1, 9), failed=[ev.FailedAttempt(model="m", outcome="rejected", usage=used)])])
    assert (spent.counts["input_tokens"], spent.counts["output_tokens"]) == (79, 6)


def test_what_a_call_says_it_costs_is_counted_once_and_given_back_only_where_it_was_counted():
    spent, intent = Spent(), called("a", bound_usd_micros=500, amounts={"paid": 9})
    ended = ev.ToolFinished(
        scope="", step=1, call="a", tool="pay", outcome="retry", model_args=Ref("a"), cost=ev.Cost(usd_micros=500)
    )
    spent.take_back(intent, spent.begin(intent))
    spent.add(replace(ended, cost=None))
    assert not +spent.counts and not -spent.counts  # noqa: PT018 - neither above nor below nothing
    spent.add(intent)
    assert spent.counts["cost_usd"] == 500
    spent.add(ended)
    assert (spent.counts["cost_usd"], spent.counts["amount:paid"]) == (500, 0)


intents = st.one_of(
    st.builds(
        called, st.sampled_from("abc"), recovery=st.sampled_from(list(Recovery)), system=st.sampled_from(["", "s"])
    ),
    st.builds(asked, st.integers(1, 3), st.just(1), st.sampled_from([None, ev.Usage(input_tokens=9, output_tokens=4)])),
)


@given(st.lists(st.tuples(intents, st.booleans())))
def test_what_was_not_announced_leaves_no_trace(steps: list[tuple[Any, bool]]):
    tried, only = Spent(), Spent()
    for intent, announced in steps:
        counted = tried.begin(intent)
        if announced:
            only.begin(intent)
        else:
            tried.take_back(intent, counted)
    assert +tried.counts == +only.counts
    for intent, _ in steps:
        ceilings = {"steps": 2, "tokens": 20, "fan_out": 2, "calls:pay": 1, "writes:s": 1}
        assert tried.reached(intent, ceilings, {}) == only.reached(intent, ceilings, {})
