"""What a vendor promised by when, and what it wants back by when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from agent.model import Deadline, Text
from agent.service.calendar import BusinessCalendar, business_calendar
from config.plans import Plan, Target

_STARTS = MappingProxyType(
    {
        "sent": Text("when the report is sent", "z chwilą wysłania zgłoszenia"),
        "diagnosed": Text("when the vendor has finished its diagnosis", "po zakończeniu diagnostyki przez serwis"),
        "accepted": Text("when the vendor accepts the report as justified", "z chwilą zaakceptowania zasadności zgłoszenia"),
        "received": Text("when the replacement is received", "po otrzymaniu sprzętu zastępczego"),
    }
)


def deadlines(plan: Plan, events: Mapping[str, datetime]) -> tuple[Deadline, ...]:
    """Every target of the plan: with its due time (UTC) once its clock runs, else with what will start it.

    `events`: when what happened with the report at the vendor. `sent`: it went out; `diagnosed`: the vendor finished its diagnosis;
    `accepted`: it accepted the report as justified; `received`: the replacement arrived. Others start no clock.
    """
    calendar = business_calendar(plan.hours)
    return tuple(
        Deadline(name=name, due=due(target, events, calendar), starts_when=Text("", "") if target.after in events else _STARTS[target.after])
        for name, target in plan.targets.items()
    )


def due(target: Target, events: Mapping[str, datetime], calendar: BusinessCalendar) -> datetime | None:
    """When this target is due, in UTC; None while its clock has not started.

    Hours run from the moment itself; days run to the end of the last one: of its business hours, or of the calendar day.
    """
    started = events.get(target.after)
    if started is None:
        return None
    match target.unit:
        case "hour":
            return started.astimezone(UTC) + timedelta(hours=target.within)
        case "business_hour":
            return calendar.add_business_time(started, timedelta(hours=target.within))
        case "business_day":
            return calendar.add_business_days(started, target.within)
        case "day":
            last = calendar.day_of(started) + timedelta(days=target.within + 1)
            return datetime(last.year, last.month, last.day, tzinfo=calendar.zone).astimezone(UTC)
