"""When windows of budgets begin and end: against Python's zones, clock changes and the oddest included."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

# Changes by an hour and half an hour, at midnight and at one; zones of half and quarter hours; a day that was skipped.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Havana", "America/Santiago", "America/Sao_Paulo",
    "Asia/Kolkata", "Asia/Kathmandu", "Atlantic/Azores", "Africa/Cairo", "Australia/Lord_Howe",
    "Pacific/Chatham", "Pacific/Apia",
)  # fmt: skip
LATE_2025 = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
moments = st.datetimes(datetime(2008, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given by `timezones`
near_changes = st.builds(
    lambda base, zone, minutes: change_before(base, zone) + timedelta(minutes=minutes),
    moments, st.sampled_from(ZONES), st.integers(-180, 180),
)  # fmt: skip
CHECK = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def change_before(moment: datetime, zone: str) -> datetime:
    """When clocks in a zone were last set, to the minute; the moment itself where they were not for a year."""
    there, at = ZoneInfo(zone), moment
    while (earlier := at - timedelta(hours=12)) > moment - timedelta(days=366):
        if earlier.astimezone(there).utcoffset() != at.astimezone(there).utcoffset():
            lowest, highest = earlier, at
            while highest - lowest > timedelta(minutes=1):
                middle = lowest + (highest - lowest) / 2
                same = middle.astimezone(there).utcoffset() == highest.astimezone(there).utcoffset()
                lowest, highest = (lowest, middle) if same else (middle, highest)
            return highest.replace(second=0, microsecond=0)
        at = earlier
    return moment


def local_date(moment: datetime, zone: str, per: str) -> tuple[int, ...]:
    """What tells a window of days from another: the date, or the first of its week or month."""
    day = moment.astimezone(ZoneInfo(zone)).date()
    return {"day": (*day.timetuple()[:3],), "week": day.isocalendar()[:2], "month": (day.year, day.month)}[per]


@pytest.fixture
def window(scene):
    def ask(per: str, zone: str, moment: datetime) -> tuple[datetime, datetime]:
        row = scene.api.execute(
            "select holdfast.window_start(%(per)s, %(zone)s, %(at)s), holdfast.window_end(%(per)s, %(zone)s, %(at)s)",
            {"per": per, "zone": zone, "at": moment},
        ).fetchone()
        assert row is not None
        return tuple(at and at.astimezone(UTC) for at in row)

    return ask


@pytest.mark.parametrize("per", ["day", "week", "month"])
def test_days_weeks_and_months_are_those_of_the_zone(window, per):
    @CHECK
    @given(moment=st.one_of(moments, near_changes), zone=st.sampled_from(ZONES))
    @example(moment=datetime(2024, 11, 3, 4, 30, tzinfo=UTC), zone="America/Havana")  # midnight, the first of two
    @example(moment=datetime(2024, 11, 3, 5, 30, tzinfo=UTC), zone="America/Havana")  # the second
    @example(moment=datetime(2011, 12, 30, 9, 59, tzinfo=UTC), zone="Pacific/Apia")
    def holds(moment, zone):
        since, until = window(per, zone, moment)
        assert since <= moment < until
        inside = local_date(moment, zone, per)
        a_bit = timedelta(microseconds=1)
        assert local_date(since, zone, per) == inside != local_date(since - a_bit, zone, per)
        assert local_date(until - a_bit, zone, per) == inside != local_date(until, zone, per)
        assert window(per, zone, since) == (since, until), "every moment of it names the same window"
        assert window(per, zone, until)[0] == until, "the next begins where it ends"

    holds()


def test_hours_have_no_gaps_begin_when_clocks_show_a_full_one_and_are_as_long_as_they_look(window):
    @CHECK
    @given(moment=st.one_of(moments, near_changes), zone=st.sampled_from(ZONES))
    @example(moment=datetime(2026, 10, 25, 1, 30, tzinfo=UTC), zone="Europe/Berlin")
    @example(moment=datetime(2026, 4, 4, 15, 10, tzinfo=UTC), zone="Australia/Lord_Howe")
    def holds(moment, zone):
        since, until = window("hour", zone, moment)
        assert since <= moment < until
        assert since.astimezone(ZoneInfo(zone)).minute == 0
        assert until - since in {timedelta(hours=1), timedelta(minutes=90)}
        assert until - since == timedelta(hours=1) or zone == "Australia/Lord_Howe"
        assert window("hour", zone, since) == (since, until)
        assert window("hour", zone, until)[0] == until

    holds()


@pytest.mark.parametrize("per", ["run", "ever"])
def test_what_is_for_good_never_ends(window, per):
    assert window(per, "Europe/Berlin", LATE_2025) == (datetime(1970, 1, 1, tzinfo=UTC), None)
