from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.service.calendar import business_calendar
from config.plans import Hours

WARSAW = ZoneInfo("Europe/Warsaw")
OFFICE = business_calendar(Hours())
HOUR = timedelta(hours=1)


def warsaw(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=WARSAW)


GOLDEN = [
    ("2026-12-23 10:00", "2026-12-23 11:00", "2026-12-28"),
    ("2026-12-23 16:40", "2026-12-28 09:40", "2026-12-28"),
    ("2026-12-24 10:00", "2026-12-28 10:00", "2026-12-28"),
    ("2026-11-20 16:59", "2026-11-23 09:59", "2026-11-23"),
    ("2026-11-10 12:00", "2026-11-10 13:00", "2026-11-12"),
    ("2026-04-30 12:00", "2026-04-30 13:00", "2026-05-04"),
    ("2026-06-03 16:30", "2026-06-05 09:30", "2026-06-05"),
    ("2027-10-29 17:00", "2027-11-02 10:00", "2027-11-02"),
    ("2026-03-27 16:30", "2026-03-30 09:30", "2026-03-30"),
]


@pytest.mark.parametrize(("event", "reaction", "next_day"), GOLDEN)
def test_one_business_hour_and_the_next_business_day(event: str, reaction: str, next_day: str) -> None:
    assert OFFICE.add_business_time(warsaw(event), HOUR) == warsaw(reaction)
    assert OFFICE.next_business_day(warsaw(event)) == date.fromisoformat(next_day)
    assert OFFICE.add_business_days(warsaw(event), 1) == warsaw(f"{next_day} 17:00")


def test_an_hour_that_ends_as_the_office_closes_is_due_then() -> None:
    assert OFFICE.add_business_time(warsaw("2026-11-20 16:00"), HOUR) == warsaw("2026-11-20 17:00")


def test_before_nine_and_at_the_weekend_the_clock_waits_for_nine() -> None:
    assert OFFICE.add_business_time(warsaw("2026-11-23 03:00"), HOUR) == warsaw("2026-11-23 10:00")
    assert OFFICE.add_business_time(warsaw("2026-11-21 12:00"), HOUR) == warsaw("2026-11-23 10:00")
    assert OFFICE.add_business_time(warsaw("2026-11-21 12:00"), timedelta(0)) == warsaw("2026-11-23 09:00")


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [("2026-11-20 08:59", False), ("2026-11-20 09:00", True), ("2026-11-20 16:59", True), ("2026-11-20 17:00", False), ("2026-11-21 12:00", False)],
)
def test_the_window_is_half_open(moment: str, is_open: bool) -> None:
    assert OFFICE.is_open(warsaw(moment)) is is_open


@pytest.mark.parametrize(("year", "free"), [(2023, False), (2024, False), (2025, True), (2026, True), (2027, True)])
def test_christmas_eve_is_free_since_2025(year: int, free: bool) -> None:
    assert OFFICE.is_business_day(date(year, 12, 24)) is (not free and date(year, 12, 24).isoweekday() <= 5)


@pytest.mark.parametrize("year", [2026, 2027])
def test_the_working_days_of_a_year_are_counted_right(year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    assert sum(OFFICE.is_business_day(day) for day in days) == 253


def test_a_moment_in_utc_belongs_to_the_day_in_warsaw() -> None:
    # 23:30 UTC on Thursday is already Friday in Warsaw: the next business day is Monday.
    assert OFFICE.next_business_day(datetime(2026, 11, 19, 23, 30, tzinfo=UTC)) == date(2026, 11, 23)


def test_a_calendar_without_any_business_day_ends_in_an_error_and_not_in_a_loop() -> None:
    only_sundays = business_calendar(Hours(weekdays=(7,), holidays=""))
    only_sundays.holidays.update({date(2026, 1, 4) + timedelta(days=7 * n): "closed" for n in range(120)})
    with pytest.raises(ValueError, match="no business day within a year"):
        only_sundays.next_business_day(warsaw("2026-01-01 12:00"))


def test_a_day_may_last_until_midnight() -> None:
    late = business_calendar(Hours(opens=16, closes=24))
    assert late.add_business_time(warsaw("2026-03-27 23:30"), HOUR) == warsaw("2026-03-30 16:30")


moments = st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2030, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=60))


@given(moments, durations)
def test_the_end_lies_in_business_hours_and_never_before_the_start(moment: datetime, duration: timedelta) -> None:
    end = OFFICE.add_business_time(moment, duration)
    assert end >= moment
    day = OFFICE.day_of(end)
    opening, closing = OFFICE.window(day)
    assert OFFICE.is_business_day(day)
    assert opening <= end <= closing


@given(moments, st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9)), durations)
def test_a_later_start_is_never_due_earlier(moment: datetime, later: timedelta, duration: timedelta) -> None:
    assert OFFICE.add_business_time(moment, duration) <= OFFICE.add_business_time(moment + later, duration)


@given(moments, durations, durations)
def test_two_durations_in_a_row_are_their_sum(moment: datetime, first: timedelta, second: timedelta) -> None:
    once = OFFICE.add_business_time(moment, first + second)
    twice = OFFICE.add_business_time(OFFICE.add_business_time(moment, first), second)
    assert once == twice or (second == timedelta(0) and not OFFICE.is_open(once))


@given(moments)
def test_the_next_business_day_is_later_and_is_one(moment: datetime) -> None:
    day = OFFICE.next_business_day(moment)
    assert day > OFFICE.day_of(moment)
    assert OFFICE.is_business_day(day)
    between = (OFFICE.day_of(moment) + timedelta(days=n) for n in range(1, (day - OFFICE.day_of(moment)).days))
    assert not any(OFFICE.is_business_day(skipped) for skipped in between)
