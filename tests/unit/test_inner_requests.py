"""Requests of sub-agents are told apart by the counters that hold them."""

from pydantic_ai.usage import RunUsage

from holdfast.engine.inner import Inner


def test_counters_are_the_same_only_if_they_are_one():
    inner, one, other = Inner(), RunUsage(), RunUsage()
    inner.of(one).add(2)
    assert (inner.of(one).counted, inner.of(other).counted) == (2, 0)


def test_what_was_left_is_kept_no_longer():
    inner, kept, left = Inner(), RunUsage(), RunUsage()
    inner.of(kept).add(2)
    inner.of(left).add(3)
    inner.leave([left])
    assert (inner.of(kept).counted, inner.of(left).counted) == (2, 0)
    inner.leave()
    assert inner.of(kept).counted == 0
