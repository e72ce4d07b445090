"""When a tally's window began: in local time, also on days on which clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import UserError
from holdfast.guards.tally import Tally

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "since"),
    [
        ("hour", "2026-11-25T21:00:00+00:00"),
        ("day", "2026-11-24T23:00:00+00:00"),
        ("week", "2026-11-22T23:00:00+00:00"),
        ("month", "2026-10-31T23:00:00+00:00"),
        ("ever", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_when_it_began(window, since):
    now = datetime(2026, 11, 25, 22, 17, tzinfo=BERLIN)
    assert Tally("paid", window=window).since(now) == datetime.fromisoformat(since)


def test_a_day_that_is_longer_is_one_day():
    """On 25 October 2026 Berlin's clocks go back: the day has 25 hours."""
    first = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    last = datetime(2026, 10, 25, 23, 30, tzinfo=BERLIN)
    assert Tally("paid").since(first) == Tally("paid").since(last) == datetime(2026, 10, 24, 22, tzinfo=UTC)


@given(st.integers(1_577_836_800, 2_208_988_800), st.sampled_from(["hour", "day", "week", "month"]))
def test_a_window_has_begun_and_is_the_same_from_its_beginning(second, window):
    now = datetime.fromtimestamp(second, BERLIN)
    since = Tally("paid", window=window).since(now)
    assert since <= now
    assert Tally("paid", window=window).since(since.astimezone(BERLIN)) == since


@pytest.mark.parametrize("wrong", [{"name": "Paid!"}, {"name": "p", "per": "user"}, {"name": "p", "window": "year"}])
def test_what_is_none_is_refused(wrong):
    with pytest.raises(UserError):
        Tally(**wrong)
