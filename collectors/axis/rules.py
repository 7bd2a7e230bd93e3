"""What the snapshots of an Axis device mean. Pure.

A rule yields a fault, or Healthy for what it looked at and found fine, or nothing where it cannot know.
While the device says that it is still starting, its parts are not judged.
HTTP is asked first: SNMP judges a part only where HTTP has never shown that kind of part, so that one broken part has one key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from agent.model import Component, Device, Fault, Healthy, History, Judgement, Reading, Severity, Snapshot
from collectors.axis import faults as code
from collectors.axis.rules_events import EVENT_RULES
from collectors.axis.rules_health import HEALTH_RULES
from collectors.axis.settings import settings_of

REBOOT_LOOP = 3
REBOOT_WINDOW = timedelta(hours=24)
SAME_BOOT = 60.0
"""Two boot times no further apart than this, in seconds, are one boot: clocks drift, and no device starts twice within a minute."""
TICKS_WRAP = 2**32 / 100
"""sysUpTime starts again at zero after this many seconds (497 days) without any restart."""
WORN = 0.9
WORN_OUT = 1.0
OUT_OF_BOUNDARY = "outOfBoundary"
WARM = 20.0
"""A sensor that the device calls out of its limits is too hot above this, too cold below: no limit of a product lies on the wrong side of it."""

_FINE = {name: Healthy(code=name) for name in (code.NOT_READY, code.NEEDS_SETUP, "device.rebooted", "device.rebooting", code.CRASHED, code.PENDING_COMMIT)}
"""Of the device as a whole."""


def _starting(snapshot: Snapshot) -> bool:
    return snapshot.facts.get("ready") == "no"


# --- starting ---------------------------------------------------------------------------------------------------------


def not_ready(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """It answers, and says it has not finished starting."""
    ready = snapshot.facts.get("ready")
    if ready == "yes":
        yield _FINE[code.NOT_READY]
    elif ready == "no":
        yield Fault(
            code=code.NOT_READY, severity=Severity.CRITICAL, summary="The device says it is not ready", proof=tuple(snapshot.of("latarnik_device_ready"))
        )


def needs_setup(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """It has no password: new, or reset to factory default."""
    setup = snapshot.facts.get("needs_setup")
    if setup == "no":
        yield _FINE[code.NEEDS_SETUP]
    elif setup == "yes":
        summary = "The device has no password yet: it is new or was reset to factory default"
        yield Fault(code=code.NEEDS_SETUP, severity=Severity.CRITICAL, summary=summary, proof=tuple(snapshot.of("latarnik_axis_needs_setup")))


def has_rebooted(old: Mapping[str, str], new: Mapping[str, str]) -> bool | None:
    """Whether the device started anew between two sets of facts; None when they do not tell.

    The boot id decides. Without one (AXIS OS 10.12 and older) the boot time computed from the uptime does, of HTTP or else of SNMP.
    """
    if old.get("boot_id") and new.get("boot_id"):
        return old["boot_id"] != new["boot_id"]
    for key in ("booted_at", "snmp.booted_at"):
        if key in old and key in new:
            later = float(new[key]) - float(old[key])
            wrapped = key.startswith("snmp.") and abs(later - TICKS_WRAP) <= SAME_BOOT
            return later > SAME_BOOT and not wrapped
    return None


def rebooted(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """One restart, and restarts that do not end."""
    known = has_rebooted(history.facts, snapshot.facts)
    if known is None:
        return
    since = snapshot.at - REBOOT_WINDOW
    recent = sum(since <= at <= snapshot.at for at in history.reboots) + int(known)
    if known:
        summary = "The device started again since the last poll"
        yield Fault(code="device.rebooted", severity=Severity.INFO, summary=summary, proof=tuple(snapshot.of("latarnik_device_boot_timestamp_seconds")))
    else:
        yield _FINE["device.rebooted"]
    if recent >= REBOOT_LOOP:
        yield Fault(code="device.rebooting", severity=Severity.CRITICAL, summary=f"The device restarted {recent} times within 24 hours")
    else:
        yield _FINE["device.rebooting"]


def crashed(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The device names a crash as the cause of its last start. It says so until its next start, so one boot is one fault.

    Its status was answered and names another cause or none: that start was no crash, as devices send the field only where it applies.
    """
    source = snapshot.facts.get("reset_source")
    if source is not None and "crash" in source:
        yield Fault(code=code.CRASHED, severity=Severity.WARNING, summary="The device restarted after a crash, by its own account")
    elif source is not None:
        yield _FINE[code.CRASHED]


def pending_commit(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """An upgrade that rolls back by itself."""
    for reading in snapshot.of("latarnik_axis_firmware_commit_pending"):
        if reading.value:
            summary = f"Firmware {snapshot.identity.firmware or 'of unknown version'} is not committed and may roll back"
            yield Fault(code=code.PENDING_COMMIT, severity=Severity.WARNING, summary=summary, proof=(reading,))
        else:
            yield _FINE[code.PENDING_COMMIT]


# --- temperatures -----------------------------------------------------------------------------------------------------


def temperatures(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """Each sensor against the device's own limits; where the device states none it is not judged."""
    if _starting(snapshot):
        return
    values = {reading.labels[0]: reading for reading in snapshot.of("latarnik_device_temperature_celsius")}
    by_http = False
    for limit in snapshot.of("latarnik_device_temperature_limit_celsius"):
        by_http = True
        sensor, level = limit.labels
        reading = values.get(sensor)
        if reading is None or limit.value is None or reading.value is None:
            continue
        high = level == "high"
        name = code.TEMPERATURE_HIGH if high else code.TEMPERATURE_LOW
        if reading.value >= limit.value if high else reading.value <= limit.value:
            summary = f"Sensor {sensor} is at {reading.value:g} °C, the device's own limit is {limit.value:g} °C"
            part = snapshot.component(reading.component)
            severity = Severity.CRITICAL if high else Severity.WARNING
            yield Fault(code=name, component=sensor, severity=severity, summary=summary, proof=(reading, limit), part=part)
        else:
            yield Healthy(code=name, component=sensor)
    statuses = list(snapshot.of("latarnik_axis_temperature_sensor_ok"))
    if not by_http and any(status.raw == OUT_OF_BOUNDARY for status in statuses):
        by_http = _judged_before(history, (code.TEMPERATURE_HIGH, code.TEMPERATURE_LOW), not_of="sensor ")
    for status in statuses:
        key = status.component
        if not status.value:
            yield _sensor_failed(snapshot, status, values.get(key))
            continue
        yield Healthy(code=code.SENSOR_FAILED, component=key)
        if status.raw != OUT_OF_BOUNDARY:
            yield Healthy(code=code.TEMPERATURE_HIGH, component=key)
            yield Healthy(code=code.TEMPERATURE_LOW, component=key)
        elif not by_http:
            yield _out_of_limits(snapshot, status, values.get(key))


def _sensor_failed(snapshot: Snapshot, status: Reading, value: Reading | None) -> Fault:
    """SNMP says that the sensor itself is broken."""
    return Fault(
        code=code.SENSOR_FAILED,
        component=status.component,
        severity=Severity.WARNING,
        summary=f"Temperature {status.component} reports a failure of its own",
        proof=(status,) if value is None else (status, value),
        part=snapshot.component(status.component),
    )


def _out_of_limits(snapshot: Snapshot, status: Reading, value: Reading | None) -> Fault:
    """SNMP says that it is beyond limits, which it does not name."""
    degrees = value.value if value is not None else None
    cold = degrees is not None and degrees < WARM
    at = f"at {degrees:g} °C" if degrees is not None else "at a value it does not name"
    return Fault(
        code=code.TEMPERATURE_LOW if cold else code.TEMPERATURE_HIGH,
        component=status.component,
        severity=Severity.WARNING if cold else Severity.CRITICAL,
        summary=f"Temperature {status.component} is out of the device's limits, {at}",
        proof=(status,) if value is None else (status, value),
        part=snapshot.component(status.component),
    )


def _judged_before(history: History, codes: Iterable[str], *, not_of: str) -> bool:
    """Whether HTTP once judged such a part: SNMP's keys start with the kind of part, HTTP's never do."""
    return any(key.startswith(f"{name}/") and not key.startswith(f"{name}/{not_of}") for key in history.healthy for name in codes)


# --- fans, heaters, power ---------------------------------------------------------------------------------------------


def fans(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """Fans, by HTTP where it lists any."""
    found = list(snapshot.of("latarnik_device_fan_ok"))
    failing = any(not r.value and r.component.startswith("fan ") for r in found)
    by_http = failing and (_judged_before(history, (code.FAN_FAILED,), not_of="fan ") or any(not r.component.startswith("fan ") for r in found))
    for judgement in _parts(snapshot, found, code.FAN_FAILED, Severity.CRITICAL, "Fan"):
        if by_http and isinstance(judgement, Fault) and judgement.component.startswith("fan "):
            continue
        yield judgement


def heaters(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Heaters; HTTP alone knows them."""
    yield from _parts(snapshot, snapshot.of("latarnik_device_heater_ok"), code.HEATER_FAILED, Severity.WARNING, "Heater")


def power_supplies(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Power supplies; SNMP alone knows them."""
    yield from _parts(snapshot, snapshot.of("latarnik_axis_power_supply_ok"), code.POWER_SUPPLY_FAILED, Severity.CRITICAL, "Power")


def _parts(snapshot: Snapshot, readings: Iterable[Reading], name: str, severity: Severity, what: str) -> Iterator[Judgement]:
    if _starting(snapshot):
        return
    for reading in readings:
        if reading.value:
            yield Healthy(code=name, component=reading.component)
        else:
            part = snapshot.component(reading.component)
            summary = f"{what} {reading.component.removeprefix(f'{what.lower()} ')} reports a failure ({reading.raw})"
            yield Fault(code=name, component=reading.component, severity=severity, summary=summary, proof=(reading,), part=part)


# --- storage ----------------------------------------------------------------------------------------------------------


def storage(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """Each disk: failed, failing its own check, or expected and not there. A slot that never held a working medium is not missed."""
    if _starting(snapshot):
        return
    checks = {reading.component: reading for reading in snapshot.of("latarnik_axis_storage_self_check_ok")}
    listed = {reading.component: reading for reading in snapshot.of("latarnik_axis_storage_status")}
    for disk, reading in listed.items():
        check = checks.get(disk)
        if reading.state == "ok" and check is not None and not check.value:
            yield _lost(disk, "it fails its own check", snapshot.component(disk), (reading, check))
        elif reading.state == "ok":
            yield Healthy(code=code.STORAGE_FAILED, component=disk)
        elif reading.state == "failed":
            yield _lost(disk, "the device says it failed", snapshot.component(disk), (reading,))
        elif reading.state in ("disconnected", "connected", "locked_out"):
            why = _expected(disk, snapshot, history, device)
            if why:
                yield _lost(disk, f"it is {reading.raw or reading.state}, and {why}", _missing(snapshot.component(disk)), (reading,))
    if snapshot.ok("storage"):
        for disk in _known_disks(history, device) - listed.keys():
            why = _expected(disk, snapshot, history, device)
            if why:
                yield _lost(disk, f"the device no longer lists it, and {why}", _missing(history.components.get(disk)), ())
    elif not listed:
        yield from _snmp_storage(snapshot, history, device)


def _snmp_storage(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """Storage as SNMP tells it, where HTTP does not answer. A disruption is also reported by slots that are empty, so only an expected disk is missed."""
    by_http = any(part.kind == "storage" for part in history.components.values())
    for key, value in snapshot.facts.items():
        disk = key.removeprefix("snmp.storage.")
        if disk == key or (by_http and disk.startswith("storage ")):
            continue
        if value == "1":
            yield Healthy(code=code.STORAGE_FAILED, component=disk)
            continue
        why = _expected(disk, snapshot, history, device)
        if why:
            yield _lost(disk, f"SNMP reports a disruption, and {why}", _missing(history.components.get(disk)), ())


def _known_disks(history: History, device: Device) -> set[str]:
    return set(settings_of(device.settings).expect_storage) | {part.key for part in history.components.values() if part.kind == "storage"}


def _expected(disk: str, snapshot: Snapshot, history: History, device: Device) -> str:
    """Why this disk should be there, or ''."""
    if disk in settings_of(device.settings).expect_storage:
        return "the configuration expects it"
    if _fact(f"storage.{disk}.enabled", snapshot, history) == "no":
        return ""
    seen = history.components.get(disk)
    if f"{code.STORAGE_FAILED}/{disk}" in history.healthy or (seen is not None and seen.state == "ok"):
        return "it worked before"
    if _fact(f"storage.{disk}.set_up", snapshot, history) == "yes":
        return "it is set up on the device"
    if _fact(f"storage.{disk}.encrypted", snapshot, history) == "yes":
        return "its encryption is set up on the device"
    return ""


def _fact(name: str, snapshot: Snapshot, history: History) -> str | None:
    """As this poll says it, else as the last one did."""
    return snapshot.facts.get(name, history.facts.get(name))


def _missing(part: Component | None) -> Component | None:
    return replace(part, state="missing") if part is not None else None


def _lost(disk: str, why: str, part: Component | None, proof: tuple[Reading, ...]) -> Fault:
    return Fault(code=code.STORAGE_FAILED, component=disk, severity=Severity.CRITICAL, summary=f"Storage {disk} does not work: {why}", proof=proof, part=part)


def storage_worn(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Media near the end of their life. One that says nothing of it is not judged, nor one that does not work: that is its own fault."""
    if _starting(snapshot):
        return
    broken = {reading.component for reading in snapshot.of("latarnik_axis_storage_status") if reading.state != "ok"}
    for used in snapshot.of("latarnik_axis_storage_wear_ratio"):
        disk = used.component
        if used.value is None or disk in broken:
            continue
        if used.value < WORN:
            yield Healthy(code=code.STORAGE_WORN, component=disk)
            continue
        severity = Severity.CRITICAL if used.value >= WORN_OUT else Severity.WARNING
        summary = f"Storage {disk}: {used.value:.0%} of its life is used"
        yield Fault(code=code.STORAGE_WORN, component=disk, severity=severity, summary=summary, proof=(used,), part=snapshot.component(disk))


Rule = Callable[[Snapshot, History, Device], Iterable[Judgement]]

RULES: tuple[Rule, ...] = (
    not_ready,
    needs_setup,
    rebooted,
    crashed,
    pending_commit,
    temperatures,
    fans,
    heaters,
    power_supplies,
    storage,
    storage_worn,
    *HEALTH_RULES,
    *EVENT_RULES,
)
