"""Devices and statuses of our own making, and a context to listen with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from agent.catalogue import COMMON_FAULTS, DEVICE_METRICS, READING_METRICS
from agent.model import (
    Contract,
    Desk,
    Device,
    FacetOutcome,
    FacetStatus,
    Fault,
    Identity,
    Incident,
    IncidentState,
    MetricSpec,
    Reading,
    Severity,
    Snapshot,
)
from agent.ports import DeviceStatus, ObserverContext, OpenTicket, SystemClock

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CATALOGUE = (*DEVICE_METRICS, *READING_METRICS)
CONTRACT = Contract(id="hezo-7", plan="partner-plus", number="HZ/2026/0007", ends=date(2029, 1, 1))

READINGS = (
    Reading(metric="latarnik_device_boot_timestamp_seconds", value=1772000000.0),
    Reading(metric="latarnik_device_temperature_celsius", value=48.5, labels=("cpu",)),
    Reading(metric="latarnik_device_temperature_celsius", value=-3.0, labels=("housing",)),
    Reading(metric="latarnik_device_temperature_limit_celsius", value=85.0, labels=("cpu", "high")),
    Reading(metric="latarnik_device_storage_ok", value=1.0, labels=("SD_DISK",)),
    Reading(metric="latarnik_device_storage_free_bytes", value=5e9, labels=("SD_DISK",)),
    Reading(metric="latarnik_device_ready", value=1.0),
    Reading(metric="latarnik_device_clock_offset_seconds", value=0.25),
    Reading(metric="latarnik_device_network_link_up", value=1.0, labels=("eth0",)),
    Reading(metric="latarnik_peripheral_info", labels=("8LTEST0001", "camera", "Studio E70", "8LTEST0001", "1.2.3")),
    Reading(metric="latarnik_peripheral_connected", value=1.0, labels=("8LTEST0001", "camera")),
    Reading(metric="latarnik_call_active", value=0.0),
)


def device(id: str = "room-314", *, vendor: str = "poly", room: str = "3.14", site: str = "krakow-hq", parent: str = "") -> Device:
    return Device(id=id, vendor=vendor, host="192.0.2.14", room=room, site=site, parent=parent, contract=CONTRACT)


def snapshot(device: str = "room-314", readings: Sequence[Reading] = READINGS, *, facets: dict[str, FacetStatus] | None = None) -> Snapshot:
    words = facets if facets is not None else {"system": FacetStatus.OK, "wifi": FacetStatus.UNSUPPORTED}
    outcomes = {name: FacetOutcome(status=word, source="http", at=NOW) for name, word in words.items()}
    return Snapshot(device=device, at=NOW, duration=0.75, reachable=True, readings=tuple(readings), facets=outcomes, in_use=False)


def incident(
    device: str = "room-314", *, code: str = "poly.status.down", severity: Severity = Severity.CRITICAL, component: str = "", **more: object
) -> Incident:
    state = more.pop("state", IncidentState.CASED)
    assert isinstance(state, IncidentState)
    fault = Fault(code=code, component=component, severity=severity, summary="It is broken")
    return Incident(id=f"i-{code}", key=f"{device}/{code}", device=device, fault=fault, state=state, first_seen=NOW, last_seen=NOW, case="c-1")


TICKET = OpenTicket(case="c-1", desk="helpdesk", ref="4711", url="https://rt.example.org/4711", severity="critical", opened_at=NOW)


def status(
    of: Device | None = None,
    *,
    up: bool | None = True,
    readings: Sequence[Reading] = READINGS,
    facets: dict[str, FacetStatus] | None = None,
    incidents: Sequence[Incident] = (),
    tickets: Sequence[OpenTicket] = (),
    fresh: bool = True,
    firmware: str = "4.3.1",
    blocked: bool = False,
) -> DeviceStatus:
    of = of or device()
    return DeviceStatus(
        device=of,
        up=up,
        snapshot=snapshot(of.id, readings, facets=facets) if fresh else None,
        identity=Identity(vendor=of.vendor, serial=f"8L{of.id.upper()}", model="Studio X50", firmware=firmware, name="Sala 3.14"),
        last_poll=NOW,
        last_success=NOW,
        incidents=tuple(incidents),
        tickets=tuple(tickets),
        reboots=2,
        blocked=blocked,
        contract=of.contract,
    )


def context(
    devices: Sequence[Device] | None = None,
    *,
    metrics: Sequence[MetricSpec] = CATALOGUE,
    ready: str = "",
    healthy: str = "",
    port: int = 0,
) -> ObserverContext:
    return ObserverContext(
        listen=("127.0.0.1", port),
        metrics=tuple(metrics),
        faults=COMMON_FAULTS,
        devices=tuple(devices if devices is not None else (device(),)),
        desks=(Desk(name="helpdesk", type="rt"),),
        clock=SystemClock(),
        ready=lambda: ready,
        healthy=lambda: healthy,
    )
