"""What is shown of one device, made of its status: readings for the metrics page and an entry for the list. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from agent.catalogue import INFO_LABELS
from agent.model import FacetStatus, Incident, IncidentState, Reading, Severity
from agent.model.reading import UNKNOWN
from agent.ports import DeviceStatus


def health(status: DeviceStatus) -> str:
    """The worst confirmed fault: 'critical', 'warning', or 'ok'; 'unknown' where no fault is known and not all could be looked at.

    A fault of severity info leaves a device ok. 'ok' needs a device that is up and every part of the poll that it has answered:
    absence of an answer is never health.
    """
    severities = {i.fault.severity for i in status.incidents if i.active}
    if Severity.CRITICAL in severities:
        return "critical"
    if Severity.WARNING in severities:
        return "warning"
    if not status.up or status.snapshot is None:
        return UNKNOWN
    outcomes = {f.status for f in status.snapshot.facets.values()} - {FacetStatus.UNSUPPORTED}
    return "ok" if outcomes == {FacetStatus.OK} else UNKNOWN


_UP = {up: Reading(metric="latarnik_device_up", value=float(up)) for up in (False, True)}
_HEALTH = {state: Reading(metric="latarnik_device_health", state=state) for state in ("ok", "warning", "critical", UNKNOWN)}
_BLOCKED = {blocked: Reading(metric="latarnik_device_authentication_blocked", value=float(blocked)) for blocked in (False, True)}


@lru_cache(1024)
def _facet_ok(name: str, source: str, ok: bool) -> Reading:
    return Reading(metric="latarnik_device_facet_ok", value=float(ok), labels=(name, source))


def readings(status: DeviceStatus) -> Iterator[Reading]:
    """Everything the page shows of the device: what the agent knows of it, then what the device said and is fresh."""
    yield from known(status)
    if status.snapshot is not None:
        yield from status.snapshot.readings


def known(status: DeviceStatus) -> Iterator[Reading]:
    """What the agent knows of the device."""
    yield _info(status)
    if status.up is not None:
        yield _UP[status.up]
    if status.last_poll:
        yield Reading(metric="latarnik_device_last_poll_timestamp_seconds", value=status.last_poll.timestamp())
    if status.last_success:
        yield Reading(metric="latarnik_device_last_success_timestamp_seconds", value=status.last_success.timestamp())
        yield Reading(metric="latarnik_device_reboots_total", value=float(status.reboots))
    yield _HEALTH[health(status)]
    yield _BLOCKED[status.blocked]
    for incident in status.incidents:
        if incident.active:
            fault = incident.fault
            labels_of_fault = (fault.code, fault.severity.value, fault.component, _cause(status, incident))
            yield Reading(metric="latarnik_device_fault_active", value=1.0, labels=labels_of_fault)
            yield Reading(metric="latarnik_device_fault_since_timestamp_seconds", value=incident.first_seen.timestamp(), labels=(fault.code, fault.component))
        elif incident.state is IncidentState.SUSPECTED:
            fault = incident.fault
            yield Reading(metric="latarnik_device_fault_suspected", value=1.0, labels=(fault.code, fault.severity.value, fault.component))
    if status.streaming is not None:
        yield Reading(metric="latarnik_device_event_stream_up", value=float(status.streaming))
    if status.contract and status.contract.ends:
        labels = (status.contract.id, status.contract.plan)
        yield Reading(metric="latarnik_device_contract_expiry_timestamp_seconds", value=_end_of(status.contract.ends).timestamp(), labels=labels)
    for ticket in status.tickets:
        labels_of_ticket = (ticket.case, ticket.desk, ticket.ref, ticket.severity)
        yield Reading(metric="latarnik_ticket_opened_timestamp_seconds", value=ticket.opened_at.timestamp(), labels=labels_of_ticket)
    if status.snapshot is not None:
        yield Reading(metric="latarnik_device_poll_duration_seconds", value=status.snapshot.duration)
        for name, outcome in status.snapshot.facets.items():
            if outcome.status is not FacetStatus.UNSUPPORTED:
                yield _facet_ok(name, outcome.source, outcome.status is FacetStatus.OK)


def requests(asked: Mapping[str, int]) -> Iterator[Reading]:
    """How often polls asked the device, by way in."""
    for source, count in asked.items():
        yield Reading(metric="latarnik_device_requests_total", value=float(count), labels=(source,))


def entry(status: DeviceStatus) -> dict[str, Any]:
    """The device in `/api/v1/devices`: its keys are public."""
    device, identity, snapshot = status.device, status.identity, status.snapshot
    return {
        "id": device.id,
        "vendor": device.vendor,
        "site": device.site,
        "room": device.room,
        "parent": device.parent,
        "name": identity.name,
        "model": identity.model or device.model,
        "serial": identity.serial or device.serial,
        "firmware": identity.firmware,
        "up": status.up,
        "last_poll": _iso(status.last_poll),
        "last_success": _iso(status.last_success),
        "health": health(status),
        "login_blocked": status.blocked,
        "in_use": snapshot.in_use if snapshot else None,
        "facets": {name: outcome.status.value for name, outcome in snapshot.facets.items()} if snapshot else {},
        "faults": [
            {
                "code": i.fault.code,
                "severity": i.fault.severity.value,
                "component": i.fault.component,
                "summary": i.fault.summary,
                "since": _iso(i.first_seen),
                "state": i.state.value,
                "first_sight": i.first_sight and not i.adopted,
                "incident": i.id,
                "cause": _cause(status, i),
                "part_of": i.parent,
                "devices": status.sharing.get(i.id, 1),
            }
            for i in status.incidents
            if i.active
        ],
        "tickets": [{"case": t.case, "desk": t.desk, "ref": t.ref, "url": t.url} for t in status.tickets],
    }


def _cause(status: DeviceStatus, incident: Incident) -> str:
    """What the fault shares with those of other devices now; '' for one that stands alone."""
    return incident.fault.shared if incident.parent or incident.id in status.sharing else ""


def _info(status: DeviceStatus) -> Reading:
    device, identity = status.device, status.identity
    values = {
        "vendor": device.vendor,
        "model": identity.model or device.model,
        "serial": identity.serial or device.serial,
        "firmware": identity.firmware,
        "hardware": identity.hardware,
        "mac": identity.mac,
        "site": device.site,
        "room": device.room,
        "name": identity.name,
        "parent": device.parent,
        "contract": status.contract.id if status.contract else "",
    }
    return Reading(metric="latarnik_device_info", labels=tuple([values[label] for label in INFO_LABELS]))


def _end_of(day: date) -> datetime:
    """The end of that day in UTC: the site's own midnight is at most 14 hours away."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else None
