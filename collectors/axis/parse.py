"""What an Axis device says of itself over HTTP: identity, state, temperatures. Pure; every parser raises BadPayload and nothing else.

Nothing is taken for granted: a key may be missing, a number may be a string, a yes may be `true`, `1` or `on`.
What cannot be understood is left out, so that one odd value does not cost the others. An answer that says nothing at all is BadPayload.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.errors import BadPayload
from agent.model import Component, Identity, Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData

MAX_UPTIME = 50 * 365 * 86400.0
_SERIAL = re.compile(r"[0-9A-F]{12}")
_SPEAKS = re.compile(r"speaker|intercom|door ?(?:station|phone)|audio|horn", re.IGNORECASE)
_FLAGS = {**dict.fromkeys(("yes", "true", "1", "on"), True), **dict.fromkeys(("no", "false", "0", "off"), False)}
_THERMAL = re.compile(r"(?:[\w.-]{0,150}\.)??(Sensor|Heater|Fan)\.([A-Za-z]{1,8}\d{1,4})\.(\w{1,32})")
_KEY = re.compile(r"[\w.-]{1,200}")
_ERROR_LINE = re.compile(r"^\s*#\s*Error\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An answer and when it came: for what a device states as a time span."""

    payload: Any
    at: datetime


# --- words and numbers ------------------------------------------------------------------------------------------------


def word(value: object, limit: int = 128) -> str:
    """A short text of the device without control characters; '' for anything that is no text."""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return ""
        value = str(value)
    text = value[: 4 * limit]
    return (text if text.isprintable() else "".join(c for c in text if c.isprintable())).strip()[:limit]


def flag(value: object) -> bool | None:
    """A yes or a no in any of the spellings devices use; None for anything else."""
    return _FLAGS.get(str(value).strip().lower()) if isinstance(value, (int, str)) else None


def number(value: object) -> float | None:
    """A finite number, also from a string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def celsius(value: float | None) -> float | None:
    """A temperature a device can have; 200 and above, -50 and below are what broken sensors say."""
    return round(value, 2) if value is not None and -50 < value < 200 else None


def parameters(text: str) -> dict[str, str]:
    """The `key=value` lines of param.cgi, without the optional `root.`; lines of errors and of HTML are left out.

    Raises BadPayload when not one line is such a pair.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        key = key.strip().removeprefix("root.")
        if equals and _KEY.fullmatch(key):
            found[key] = value.strip()
    if not found:
        raise BadPayload(f"not one key=value line in {len(text)} characters")
    return found


def parameter_errors(text: str) -> bool:
    """Whether param.cgi answered nothing but `# Error` lines: the device has none of these groups."""
    return text.lstrip().startswith("#") and all(_ERROR_LINE.match(line) for line in text.splitlines() if line.strip())


def _data(payload: object, what: str) -> Mapping[str, Any]:
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, dict):
        raise BadPayload(f"{what}: the answer has no data object")
    return data


# --- who it is --------------------------------------------------------------------------------------------------------


def axis_serial(value: str) -> str:
    """The serial number as it stands on the label: 12 upper-case hex digits without separators; another form is kept as the device gave it."""
    plain = re.sub(r"[\s:.-]", "", value).upper()
    return plain if _SERIAL.fullmatch(plain) else value


def axis_mac(serial: str) -> str:
    """The MAC address, which an Axis serial number is, as `b8:a4:4f:00:00:01`; '' when the serial number has another form."""
    return bytes.fromhex(serial).hex(":") if _SERIAL.fullmatch(serial) else ""


def _identity(*, brand: str, model: str, short: str, kind: str, serial: str, firmware: str, hardware: str) -> FacetData:
    serial = axis_serial(serial)
    model = model or re.sub(r"^AXIS\s+", "", short, flags=re.IGNORECASE)
    if not (serial or model or firmware):
        raise BadPayload("the answer names neither serial number nor model nor firmware")
    identity = Identity(vendor=brand, serial=serial, model=model, firmware=firmware, hardware=hardware, mac=axis_mac(serial))
    # A camera is never in a call. A speaker or an intercom may be, and no interface of theirs that says so is verified: unknown.
    in_use = None if not kind or _SPEAKS.search(f"{kind} {model}") else False
    return FacetData(identity=identity, in_use=in_use)


def identity(payload: object) -> FacetData:
    """basicdeviceinfo.cgi: getAllUnrestrictedProperties or getAllProperties. `in_use` False where the product type cannot be in a call."""
    told = _data(payload, "basicdeviceinfo").get("propertyList")
    if not isinstance(told, dict):
        raise BadPayload("basicdeviceinfo: the answer has no propertyList")
    return _identity(
        brand=word(told.get("Brand")),
        model=word(told.get("ProdNbr")),
        short=word(told.get("ProdShortName")) or word(told.get("ProdFullName")),
        kind=word(told.get("ProdType")),
        serial=word(told.get("SerialNumber")),
        firmware=word(told.get("Version")),
        hardware=word(told.get("HardwareID")),
    )


def identity_parameters(text: str) -> FacetData:
    """param.cgi groups Brand and Properties, for devices before AXIS OS 8.40."""
    told = parameters(text)
    return _identity(
        brand=word(told.get("Brand.Brand")),
        model=word(told.get("Brand.ProdNbr")),
        short=word(told.get("Brand.ProdShortName")) or word(told.get("Brand.ProdFullName")),
        kind=word(told.get("Brand.ProdType")),
        serial=word(told.get("Properties.System.SerialNumber")),
        firmware=word(told.get("Properties.Firmware.Version")),
        hardware=word(told.get("Properties.System.HardwareID")),
    )


def identity_account(raw: object) -> FacetData:
    """Either of the two: a text is what param.cgi answered."""
    return identity_parameters(raw) if isinstance(raw, str) else identity(raw)


# --- how it runs ------------------------------------------------------------------------------------------------------


def boot_time(at: datetime, uptime: float | None) -> float | None:
    """When it started, as Unix time rounded to 10 s so that a poll's jitter does not show; None for an impossible uptime."""
    return round((at.timestamp() - uptime) / 10) * 10.0 if uptime is not None and 0 <= uptime < MAX_UPTIME else None


def readiness(raw: Timed) -> FacetData:
    """systemready.cgi. Seen: version 1.2 without uptime and bootid (10.12), 1.4 (11.11), 1.5 (12.9); uptime is a string of seconds."""
    data = _data(raw.payload, "systemready")
    ready, setup, boot_id = flag(data.get("systemready")), flag(data.get("needsetup")), word(data.get("bootid"), 64)
    booted = boot_time(raw.at, number(data.get("uptime")))
    readings: list[Reading] = []
    facts: dict[str, str] = {}
    if ready is not None:
        readings.append(Reading(metric="latarnik_device_ready", value=float(ready), raw=word(data.get("systemready"))))
        facts["ready"] = "yes" if ready else "no"
    if setup is not None:
        readings.append(Reading(metric="latarnik_axis_needs_setup", value=float(setup), raw=word(data.get("needsetup"))))
        facts["needs_setup"] = "yes" if setup else "no"
    if booted is not None:
        readings.append(Reading(metric="latarnik_device_boot_timestamp_seconds", value=booted, raw=word(data.get("uptime"))))
    if boot_id:
        facts["boot_id"] = boot_id
    elif booted is not None:
        facts["booted_at"] = f"{booted:.0f}"
    if not readings and not facts:
        raise BadPayload("systemready: the answer holds none of systemready, needsetup, uptime, bootid")
    return FacetData(readings=tuple(readings), facts=facts)


def firmware_status(payload: object) -> FacetData:
    """firmwaremanagement.cgi status. `isCommited` is the spelling of devices, `isCommitted` of some papers.

    Only fields that apply are sent, so a device that names no `resetSource` has nothing to say of its last start.
    """
    data = _data(payload, "firmwaremanagement")
    version, reset = word(data.get("activeFirmwareVersion")), word(data.get("resetSource"), 64).lower()
    committed = flag(data.get("isCommited", data.get("isCommitted")))
    pending = flag(data.get("pendingCommit"))
    if pending is None and committed is not None:
        pending = not committed
    readings = () if pending is None else (Reading(metric="latarnik_axis_firmware_commit_pending", value=float(pending)),)
    if not (version or readings or reset):
        raise BadPayload("firmwaremanagement: the answer holds none of activeFirmwareVersion, isCommited, pendingCommit, resetSource")
    return FacetData(identity=Identity(firmware=version), readings=readings, facts={"reset_source": reset})


# --- temperatures, fans, heaters --------------------------------------------------------------------------------------


def _thermal(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Kind → id → field → value, in the order of the answer. Raises BadPayload when nothing of it is there."""
    parts: dict[str, dict[str, dict[str, str]]] = {"Sensor": {}, "Heater": {}, "Fan": {}}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        found = _THERMAL.fullmatch(key.strip()) if equals else None
        if found:
            kind, ident, field = found.groups()
            fields = parts[kind].get(ident)
            if fields is None:
                fields = parts[kind][ident] = {}
            fields[field] = value.strip()
    if not any(parts.values()):
        parameters(text)  # raises, where there is no such line at all
        raise BadPayload("no sensor, heater or fan in the answer")
    return parts


def _sensor_names(sensors: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Id → the name it is known by: the device's own, with the id where two share one; the id where it has none."""
    names = {ident: word(fields.get("Name"), 64) or ident for ident, fields in sensors.items()}
    if len(set(names.values())) == len(names):
        return names
    times = Counter(names.values())
    return {ident: f"{name} ({ident})" if times[name] > 1 and name != ident else name for ident, name in names.items()}


def temperatures(text: str) -> FacetData:
    """temperaturecontrol.cgi?action=statusall. A stopped fan or heater rests; only `Failure` in its status is one (documented)."""
    if not text.strip():
        return FacetData()
    parts = _thermal(text)
    readings: list[Reading] = []
    components: list[Component] = []
    names = _sensor_names(parts["Sensor"])
    for ident, fields in parts["Sensor"].items():
        name, raw = names[ident], word(fields.get("Celsius"))
        said = number(raw)
        if said is None:
            fahrenheit = number(fields.get("Fahrenheit"))
            said = (fahrenheit - 32) / 1.8 if fahrenheit is not None else None
        value = celsius(said)
        if value is not None:
            readings.append(Reading(metric="latarnik_device_temperature_celsius", value=value, labels=(name,), component=name, raw=raw))
        state = "ok" if value is not None else UNKNOWN
        components.append(Component(kind="sensor", key=name, name=name, state=state, raw=raw))
    for kind, of_kind, metric in (("heater", parts["Heater"], "latarnik_device_heater_ok"), ("fan", parts["Fan"], "latarnik_device_fan_ok")):
        for ident, fields in of_kind.items():
            raw = word(fields.get("Status"))
            working = _working(raw)
            if working is not None:
                readings.append(Reading(metric=metric, value=float(working), labels=(ident,), component=ident, raw=raw))
            state = UNKNOWN if working is None else "ok" if working else "failed"
            components.append(Component(kind=kind, key=ident, name=ident, state=state, raw=raw))
    return FacetData(readings=tuple(readings), components=tuple(components))


def _working(status: str) -> bool | None:
    said = status.lower()
    if "fail" in said:
        return False
    return True if said.startswith(("running", "stopped")) else None


def temperature_limits(text: str) -> FacetData:
    """param.cgi group TemperatureControl: the limits the device itself warns at. A pair that contradicts itself is left out.

    No reading at all is a valid answer: the device has sensors without limits.
    """
    sensors = _thermal(text)["Sensor"]
    names = _sensor_names(sensors)
    readings: list[Reading] = []
    for ident, fields in sensors.items():
        high, low = celsius(number(fields.get("TriggerHigh"))), celsius(number(fields.get("TriggerLow")))
        if high is not None and low is not None and high <= low:
            continue
        name = names[ident]
        readings += [
            Reading(metric="latarnik_device_temperature_limit_celsius", value=value, labels=(name, level), component=name)
            for level, value in (("high", high), ("low", low))
            if value is not None
        ]
    return FacetData(readings=tuple(readings))
