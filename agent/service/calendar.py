"""Business hours of a vendor: which moments count, and when so many business hours or days are over.

All moments go in and come out as aware datetimes, out in UTC. Days are those of the calendar's own time zone; durations are subtracted in UTC,
so that a weekend with a clock change is no hour longer or shorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

from config.plans import Hours

_DAY = timedelta(days=1)
# No country has a year of holidays: a search that goes on for longer is one that cannot end.
_LONGEST_SEARCH = 370


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCalendar:
    """Business days with an opening and a closing hour, the closing minute outside: 17:00 sharp belongs to the next business day.

    `weekdays`: Monday is 1. `holidays`: what is no business day although its weekday is one.
    """

    zone: ZoneInfo
    opens: time
    closes: time | None
    weekdays: frozenset[int]
    holidays: holidays.HolidayBase = field(compare=False)

    def is_business_day(self, day: date) -> bool:
        return day.isoweekday() in self.weekdays and day not in self.holidays

    def day_of(self, moment: datetime) -> date:
        """The day it is in the calendar's zone."""
        return moment.astimezone(self.zone).date()

    def window(self, day: date) -> tuple[datetime, datetime]:
        """From when until when this day is open, in UTC. The day need not be a business day."""
        opening = datetime.combine(day, self.opens, self.zone)
        closing = datetime.combine(day, self.closes, self.zone) if self.closes else datetime.combine(day + _DAY, time(0), self.zone)
        return opening.astimezone(UTC), closing.astimezone(UTC)

    def is_open(self, moment: datetime) -> bool:
        day = self.day_of(moment)
        opening, closing = self.window(day)
        return self.is_business_day(day) and opening <= moment < closing

    def next_business_day(self, moment: datetime) -> date:
        """The first business day after the day of this moment, at whatever hour of that day it is."""
        return next(self._business_days(self.day_of(moment) + _DAY))

    def end_of_business_day(self, day: date) -> datetime:
        """When this day closes, in UTC."""
        return self.window(day)[1]

    def add_business_days(self, moment: datetime, days: int) -> datetime:
        """The closing of the so-manieth business day after the day of this moment, in UTC."""
        day = self.day_of(moment)
        for _ in range(days):
            day = next(self._business_days(day + _DAY))
        return self.end_of_business_day(day)

    def add_business_time(self, moment: datetime, duration: timedelta) -> datetime:
        """When so much open time has passed since this moment, in UTC. Zero gives the moment itself, or the next opening where it is closed."""
        if duration < timedelta(0):
            raise ValueError("business time goes forward only")
        left = duration
        for day in self._business_days(self.day_of(moment)):
            opening, closing = self.window(day)
            start = max(opening, moment.astimezone(UTC))
            if start >= closing:
                continue
            if left <= closing - start:
                return start + left
            left -= closing - start
        raise AssertionError("the business days never end")

    def _business_days(self, first: date) -> Iterator[date]:
        day, searched = first, 0
        while True:
            if self.is_business_day(day):
                searched = 0
                yield day
            elif (searched := searched + 1) > _LONGEST_SEARCH:
                raise ValueError(f"no business day within a year from {first}")
            day += _DAY


def business_calendar(hours: Hours) -> BusinessCalendar:
    """The calendar of a plan's hours. Its time zone and country were checked when the config was loaded."""
    days = holidays.country_holidays(hours.holidays) if hours.holidays else holidays.HolidayBase()
    return BusinessCalendar(
        zone=ZoneInfo(hours.timezone),
        opens=time(hours.opens),
        closes=time(hours.closes) if hours.closes < 24 else None,
        weekdays=frozenset(hours.weekdays),
        holidays=days,
    )
