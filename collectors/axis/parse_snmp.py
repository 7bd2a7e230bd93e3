"""What an Axis device says over SNMP. Pure; every parser raises BadPayload and nothing else.

AXIS-VIDEO-MIB (2016) under 1.3.6.1.4.1.368.4.1. Seen in recorded walks: temperature sensors and storage; the other tables are documented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.errors import BadPayload
from agent.model import Component, Identity, Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData
from collectors.axis.parse import Timed, axis_mac, boot_time, celsius, word
from collectors.axis.parse_signals import CPU_UTILIZATION, signals

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
SYS_NAME = "1.3.6.1.2.1.1.5.0"
IF_PHYS_ADDRESS = "1.3.6.1.2.1.2.2.1.6.2"
"""Of interface 2; interface 1 is the loopback."""
SYSTEM = (SYS_DESCR, SYS_UPTIME, SYS_NAME, IF_PHYS_ADDRESS)
VIDEO_MIB = "1.3.6.1.4.1.368.4.1"

_ROW = re.compile(r"\.*" + re.escape(VIDEO_MIB) + r"\.([0-9]+\.[0-9]+\.[0-9]+)\.([0-9]+(?:\.[0-9]+)*)")
_MAC = re.compile(r"[0-9A-F]{12}")
_NO_MAC = re.compile(r"^0x|[\s:.-]")
_OUIS = ("00408C", "ACCC8E", "B8A44F", "E82725")
_TYPES = {
    "supply": {"1": "common", "2": "internal", "3": "external"},
    "fan": {"1": "common", "2": "housing", "3": "rack", "4": "cpu"},
    "sensor": {"1": "common", "2": "housing", "3": "rack", "4": "cpu"},
}
_TABLES = {"1.1.3": "supply", "2.1.3": "fan", "3.1.3": "sensor"}
_METRICS = {"supply": "latarnik_axis_power_supply_ok", "fan": "latarnik_device_fan_ok", "sensor": "latarnik_axis_temperature_sensor_ok"}
_STATUS = {1: "ok", 2: "failure", 3: "outOfBoundary"}
"""3 is of temperature sensors alone: the sensor works, and what it measures is beyond the device's limits."""
_VALUES = "3.1.4"
_SCALARS = {f"{VIDEO_MIB}.{CPU_UTILIZATION}": (CPU_UTILIZATION, "")}
_STORAGE_NAME, _STORAGE_DISRUPTION = "8.1.2", "8.1.3"


_LARGEST = 1 << 64
"""No SNMP type holds a number as large; a device can send one all the same."""


def _text(value: object) -> str:
    if isinstance(value, int):
        value = _int(value)
    return word(value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else value)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST else None


def system(raw: Timed) -> FacetData:
    """sysDescr, sysUpTime, sysName, and the MAC address of interface 2.

    sysDescr is `; AXIS <model>; <type>; <firmware>; <build date>; <hardware id>; ...`, with or without what stands before the first field.
    The serial number of an Axis device is its MAC address; it is taken from there only when the address is one of Axis' own.
    """
    told: Mapping[str, object] = raw.payload if isinstance(raw.payload, dict) else {}
    fields = [field.strip() for field in _text(told.get(SYS_DESCR)).split(";") if field.strip()]
    axis = len(fields) >= 3 and fields[0].upper().startswith("AXIS ")
    mac = _mac(told.get(IF_PHYS_ADDRESS))
    ticks = _int(told.get(SYS_UPTIME))
    booted = boot_time(raw.at, ticks / 100 if ticks is not None else None)
    if not fields and not mac and booted is None:
        raise BadPayload("the SNMP agent answers none of sysDescr, sysUpTime, ifPhysAddress.2")
    identity = Identity(
        vendor="AXIS" if axis else "",
        serial=mac,
        model=fields[0][5:].strip() if axis else "",
        firmware=fields[2] if axis and fields[2][0].isdecimal() else "",
        hardware=fields[4] if axis and len(fields) > 4 else "",
        mac=axis_mac(mac),
        name=_text(told.get(SYS_NAME)),
    )
    return FacetData(identity=identity, facts={"snmp.booted_at": f"{booted:.0f}"} if booted is not None else {})


def _mac(value: object) -> str:
    """12 hex digits of an address in Axis' ranges, or ''."""
    found = value.hex() if isinstance(value, bytes) and len(value) == 6 else _NO_MAC.sub("", _text(value))
    found = found.upper()
    return found if found.startswith(_OUIS) and _MAC.fullmatch(found) else ""


def video_mib(rows: Sequence[tuple[str, object]]) -> FacetData:
    """The walk of AXIS-VIDEO-MIB. An absent table means the device is not equipped; an empty walk is a valid answer.

    Parts are known by type and number (`fan housing.1`), storage by the name HTTP uses too, or by its number where the device names none.
    `snmp.storage.<name>` in the facts is `1` (no disruption) or `2`; devices without any storage say `2` too.
    """
    table: dict[str, dict[str, object]] = {}
    for row in rows:
        column, index = _split(row)
        if column:
            table.setdefault(column, {})[index] = row[1]
    readings: list[Reading] = []
    components: list[Component] = []
    for column, kind in _TABLES.items():
        for index, value in table.get(column, {}).items():
            key, status = f"{kind} {_part(kind, index)}", _int(value)
            said = _STATUS.get(status or 0, "") if status != 3 or kind == "sensor" else ""
            if said:
                readings.append(Reading(metric=_METRICS[kind], value=float(said != "failure"), labels=(key,), component=key, raw=said))
            state = UNKNOWN if not said else "failed" if said == "failure" else "ok"
            components.append(Component(kind=kind, key=key, name=key, state=state, raw=said or _text(value)))
    for index, value in table.get(_VALUES, {}).items():
        degrees = _int(value)
        warm = celsius(float(degrees)) if degrees is not None else None
        key = f"sensor {_part('sensor', index)}"
        if warm is not None:
            readings.append(Reading(metric="latarnik_device_temperature_celsius", value=warm, labels=(key,), component=key, raw=str(degrees)))
    readings += signals(table)
    names = table.get(_STORAGE_NAME, {})
    facts = {
        f"snmp.storage.{_text(names.get(index)) or f'storage {index}'}": str(value)
        for index, value in table.get(_STORAGE_DISRUPTION, {}).items()
        if _int(value) in (1, 2)
    }
    return FacetData(readings=tuple(readings), components=tuple(components), facts=facts)


def _split(row: object) -> tuple[str, str]:
    """(column, index) below the MIB, as ('3.1.4', '1.3'); ('', '') for anything that is not a row of it."""
    if not (isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], str)):
        return "", ""
    found = _ROW.fullmatch(row[0])
    return (found[1], found[2]) if found else _SCALARS.get(row[0], ("", ""))


def _part(kind: str, index: str) -> str:
    head, _, number = index.partition(".")
    name = _TYPES[kind].get(head)
    return f"{name}.{number}" if name and number else index
