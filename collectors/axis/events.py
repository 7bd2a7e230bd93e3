"""What an Axis device says by itself over its event stream, as signals. Pure; raises BadPayload and nothing else.

The transport is `ws-data-stream` (listed from AXIS OS 10.12 on); topics and items as devices of 10.12 to 12.9 announce them, where not said otherwise.
Names are compared without their name space prefixes, which documentation and devices set differently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agent.errors import BadPayload, CollectError, Forbidden, NotSupported, Reason
from agent.model import Reading
from agent.ports import FacetData, Signal
from collectors.axis.parse import number, word

CONFIGURE: Final = json.dumps(
    {"apiVersion": "1.0", "context": "latarnik", "method": "events:configure", "params": {"eventFilterList": [{"topicFilter": "//."}]}}, separators=(",", ":")
)
"""The wish for all events. Devices send the present values of stateful topics at once."""

_TRUE: Final = frozenset({"1", "true", "active", "high", "on", "yes"})
_FALSE: Final = frozenset({"0", "false", "inactive", "low", "off", "no", ""})
_PREFIX: Final = re.compile(r"^[A-Za-z0-9]{1,16}:")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,512}")
_FORBIDDEN: Final = frozenset({401, 403, 2001})
_LEVELS: Final = 8
AGEING: Final = "state.day."
"""States of which it matters since when they last."""
STATE: Final = "state."
HAPPENED: Final = "event."
"""What the facts of the stream begin with: states that last, `yes` or `no`; and what happened, when (seconds since 1970) and in what words."""
_NOTHING: Final = FacetData()


def token_of(text: str) -> str:
    """The token in an answer of wssession.cgi: one word, good for 15 s (as a working client uses it)."""
    token = text.strip()
    if not _TOKEN.fullmatch(token) or "<" in token:
        raise BadPayload("wssession.cgi answered something else than a token")
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One notification. `topic` without prefixes, `Storage/Disruption`; the items of `source` and `data` as words."""

    topic: str
    source: Mapping[str, str]
    data: Mapping[str, str]

    @property
    def of(self) -> str:
        """What it is about: the values of its source items."""
        return " ".join(self.source[name] for name in sorted(self.source) if self.source[name])


def truth(value: str | None) -> bool | None:
    """A state in any of the spellings devices use."""
    said = value.lower() if value is not None else None
    return True if said in _TRUE else False if said in _FALSE else None


def acknowledged(frame: str | bytes) -> None:
    """The first frame after `CONFIGURE`. Raises NotSupported, Forbidden or CollectError for a refusal."""
    told = _object(frame)
    error = told.get("error")
    if error is None:
        return
    told = error if isinstance(error, dict) else {}
    code = number(told.get("code"))
    said = f"events:configure answered error {word(told.get('code')) or '?'}: {word(told.get('message'))}"
    if code in _FORBIDDEN:
        raise Forbidden(Reason.FORBIDDEN, said)
    if code in (2002, 2003, 2004, 2100):
        raise NotSupported(said)
    raise CollectError(Reason.HTTP_STATUS, said)


def event(frame: str | bytes) -> Event | None:
    """The notification in a frame; None for another frame. Raises BadPayload for what is no JSON object."""
    told = _object(frame)
    if told.get("method") != "events:notify":
        return None
    params = told.get("params")
    note = params.get("notification") if isinstance(params, dict) else None
    if not isinstance(note, dict) or not isinstance(note.get("topic"), str):
        return None
    message = note.get("message")
    parts = message if isinstance(message, dict) else {}
    return Event(topic=topic_of(note["topic"]), source={**_items(parts.get("source")), **_items(parts.get("key"))}, data=_items(parts.get("data")))


def topic_of(text: str) -> str:
    """`tns1:Device/tnsaxis:IO/Port` → `Device/IO/Port`."""
    return "/".join(_PREFIX.sub("", word(level)) for level in text[:512].strip("/").split("/")[:_LEVELS])


def _object(frame: str | bytes) -> dict[str, Any]:
    try:
        told = json.loads(frame)
    except (ValueError, RecursionError):
        raise BadPayload("an event that is no JSON") from None
    if not isinstance(told, dict):
        raise BadPayload("an event that is no JSON object")
    return told


def _items(told: object) -> dict[str, str]:
    if not isinstance(told, dict):
        return {}
    return {word(name, 64): _item(value) for name, value in list(told.items())[:16]}


def _item(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else word(value)


# --- what topics mean -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One row of the table. `means(event)` gives the readings while something is wrong, or while it is known to be right; nothing where it cannot tell.

    `item` and `bad`: the data item and what it says then, for the documentation. `facets` tell the same when asked. `once`: no state, it only happens.
    """

    name: str
    item: str
    bad: str
    what: str
    means: Callable[[Event], FacetData]
    facets: tuple[str, ...] = ()
    once: bool = False
    source: str = "seen"


def signal(event: Event, at: datetime) -> Signal | None:
    """What an event means; None for a topic that says nothing of health. `at`: when it came."""
    row = BY_NAME.get(event.topic)
    if row is None:
        return None
    data = row.means(event)
    if row.once:
        if not data.facts:
            return None
        data = FacetData(facts={key: f"{at.timestamp():.0f} {value}".strip() for key, value in data.facts.items()})
        return Signal(key=f"{row.name}/{next(iter(data.facts))}", data=data)
    return Signal(key=f"{row.name}/{event.of}", data=data, facets=row.facets)


def _flag(metric: str, item: str, *, when: bool, source: str = "", default: str = "1", prefix: str = "", good: bool = False) -> Callable[[Event], FacetData]:
    """A metric of 0 and 1, which is `when` as the item says true. `good`: also said while all is well (no facet tells it then)."""

    def means(event: Event) -> FacetData:
        said = truth(event.data.get(item))
        if said is None:
            return _NOTHING
        value = said is when
        name = f"{prefix}{event.source.get(source) or event.of or default}" if source is not None else ""
        wrong = not value if metric.endswith(("_ok", "_connected")) else value
        if not wrong and not good:
            return _NOTHING
        labels = (name,) if name else ()
        return FacetData(readings=(Reading(metric=metric, value=float(value), labels=labels, component=name, raw=f"{item}={event.data.get(item, '')}"),))

    return means


def _disk(event: Event) -> FacetData:
    disk = event.source.get("disk_id", "")
    if not disk or truth(event.data.get("disruption")) is not True:
        return _NOTHING
    return FacetData(readings=(Reading(metric="latarnik_axis_storage_status", state="disconnected", labels=(disk,), component=disk, raw="disruption"),))


def _disk_alert(event: Event) -> FacetData:
    """An alert of a card; its health as in gethealth: 1 good (the alert is of something else), 0 bad, -1, -2 and -3 not supported, error, not there."""
    disk, health = event.source.get("disk_id", ""), number(event.data.get("overall_health"))
    wear = number(event.data.get("wear"))
    readings = []
    if disk and wear is not None and wear >= 0:
        readings.append(Reading(metric="latarnik_axis_storage_wear_ratio", value=wear / 100, labels=(disk,), component=disk, raw=f"{wear:g}"))
    if disk and health == 0 and truth(event.data.get("alert")) is True:
        readings.append(Reading(metric="latarnik_axis_storage_self_check_ok", value=0.0, labels=(disk,), component=disk, raw="alert"))
    return FacetData(readings=tuple(readings))


def _fan(event: Event) -> FacetData:
    fan = event.source.get("fan", "")
    if not fan or truth(event.data.get("fan_failure")) is not True:
        return _NOTHING
    key = f"F{fan}" if fan.isdigit() else fan
    return FacetData(readings=(Reading(metric="latarnik_device_fan_ok", value=0.0, labels=(key,), component=key, raw="fan_failure"),))


def _ready(event: Event) -> FacetData:
    if truth(event.data.get("ready")) is not False:
        return _NOTHING
    return FacetData(readings=(Reading(metric="latarnik_device_ready", value=0.0, raw="ready=0"),), facts={"ready": "no"})


def _mqtt(event: Event) -> FacetData:
    connected, active = truth(event.data.get("connected")), truth(event.data.get("active"))
    if connected is not False or active is not True:
        return _NOTHING
    return FacetData(readings=(Reading(metric="latarnik_axis_mqtt_connected", value=0.0, raw="connected=0"),))


def _fact(key: str, item: str = "", by: str = "") -> Callable[[Event], FacetData]:
    """Something that happened: a fact with the item's words."""

    def means(event: Event) -> FacetData:
        if item and not event.data.get(item):
            return _NOTHING
        of = event.source.get(by) or event.of if by else ""
        return FacetData(facts={f"{HAPPENED}{key}{'.' + of if of else ''}": event.data.get(item, "")})

    return means


def _happened(key: str, item: str, by: str) -> Callable[[Event], FacetData]:
    """Something that happened, if the item says true, or is not there."""

    def means(event: Event) -> FacetData:
        if truth(event.data.get(item, "1")) is not True:
            return _NOTHING
        return FacetData(facts={f"{HAPPENED}{key}.{event.source.get(by) or event.of or '1'}": ""})

    return means


def _held(key: str, item: str, by: str) -> Callable[[Event], FacetData]:
    """A state that no facet tells: a reading, and a fact, `yes` or `no`."""

    def means(event: Event) -> FacetData:
        said = truth(event.data.get(item))
        if said is None:
            return _NOTHING
        of = event.source.get(by) or event.of or "1"
        reading = Reading(metric="latarnik_axis_event_active", value=float(said), labels=(key, of), raw=event.data[item])
        return FacetData(readings=(reading,), facts={f"{STATE}{key}.{of}": "yes" if said else "no"})

    return means


def _speaker_test(event: Event) -> FacetData:
    return FacetData(facts={f"{HAPPENED}self_test.speaker": event.data.get("SpeakerTestStatus") or "?"})


def _self_test(result: str) -> Callable[[Event], FacetData]:
    return lambda _event: FacetData(facts={f"{HAPPENED}self_test.siren and light": result})


TOPICS: Final = (
    Topic(name="Storage/Disruption", item="disruption", bad="1", what="storage is lost", means=_disk, facets=("storage",)),
    Topic(name="Device/HardwareFailure/StorageFailure", item="disruption", bad="1", what="storage is lost", means=_disk, facets=("storage",)),
    Topic(name="Storage/Alert", item="alert", bad="1", what="a card's health, wear and temperature", means=_disk_alert, facets=("storage_health",)),
    Topic(name="Storage/Recording", item="recording", bad="0", what="recording on the device", means=_held("recording", "recording", "")),
    Topic(
        name="Device/HardwareFailure/FanFailure",
        item="fan_failure",
        bad="1",
        what="a fan failed",
        means=_fan,
        facets=("temperatures",),
        source="documented",
    ),
    Topic(
        name="Device/HardwareFailure/PowerSupplyFailure",
        item="power_critical",
        bad="1",
        what="a power supply failed",
        means=_flag("latarnik_axis_power_supply_ok", "power_critical", when=False, source="power", prefix="supply ", good=True),
        source="documented",
    ),
    Topic(
        name="Device/HardwareFailure/PowerSupplyFailure/PTZPowerFailure",
        item="Failed",
        bad="1",
        what="the camera head gets no power",
        means=_flag("latarnik_axis_power_supply_ok", "Failed", when=False, source="Token", prefix="PTZ ", good=True),
    ),
    Topic(
        name="Device/HardwareFailure/TemperatureCritical",
        item="temperature_critical",
        bad="1",
        what="too hot or too cold by the device's own account",
        means=_held("temperature_critical", "temperature_critical", "temperature"),
        source="documented",
    ),
    Topic(
        name="Device/RingPowerLimitExceeded",
        item="limit_exceeded",
        bad="1",
        what="what is fed by the device draws too much",
        means=_held("power_overload", "limit_exceeded", "input"),
    ),
    Topic(
        name="PTZController/PTZError",
        item="ptz_error",
        bad="any text",
        what="the camera head failed",
        means=_fact("ptz_error", "ptz_error", "channel"),
        once=True,
    ),
    Topic(name="PTZController/PTZReady", item="ready", bad="0", what="the camera head is not ready", means=_held("ptz_ready", "ready", "channel")),
    Topic(
        name="Device/Casing/Open",
        item="Open",
        bad="1",
        what="the casing is open",
        means=_flag("latarnik_axis_casing_open", "Open", when=True, source="Name", default="casing", good=True),
    ),
    Topic(
        name="VideoSource/Tampering",
        item="tampering",
        bad="1",
        what="the picture is blocked, turned or defocused",
        means=_happened("tampering", "tampering", "channel"),
        once=True,
    ),
    Topic(
        name="VideoSource/GlobalSceneChange/ImagingService",
        item="State",
        bad="1",
        what="the camera looks elsewhere than before",
        means=_held("scene_changed", "State", "Source"),
    ),
    Topic(name="Device/Tampering/ShockDetected", item="", bad="", what="the device was hit", means=_happened("shock", "", ""), once=True, source="unverified"),
    Topic(
        name="Device/Status/SystemReady",
        item="ready",
        bad="0",
        what="the device is starting",
        means=_ready,
        facets=("readiness",),
    ),
    Topic(
        name="VideoSource/ABR",
        item="abr_error",
        bad="1",
        what="the average bit rate cannot be kept",
        means=_held("abr_error", "abr_error", "VideoSourceConfigurationToken"),
    ),
    Topic(
        name="VideoEncoder/Connections",
        item="connected",
        bad="0",
        what="an encoder's input has no video signal",
        means=_flag("latarnik_axis_video_signal_ok", "connected", when=True, source="channel", good=True),
        source="documented",
    ),
    Topic(
        name="AudioControl/DigitalSignalStatus/NoSignal",
        item="state",
        bad="1",
        what="a digital audio input has no signal",
        means=_flag("latarnik_axis_audio_signal_ok", "state", when=False, source="input", good=True),
        source="unverified",
    ),
    Topic(name="VideoSource/DayNightVision", item="day", bad="", what="day or night mode", means=_held("day", "day", "VideoSourceConfigurationToken")),
    Topic(name="VideoSource/LiveStreamAccessed", item="accessed", bad="0", what="somebody takes the picture", means=_held("live_stream", "accessed", "")),
    Topic(
        name="Device/IO/SupervisedPort",
        item="tampered",
        bad="1",
        what="the line of a supervised input is cut or shorted",
        means=_held("io_tampered", "tampered", "port"),
        source="unverified",
    ),
    Topic(name="Device/SirenAndLight/HealthCheckFailed", item="", bad="", what="a self test failed", means=_self_test("failed"), once=True),
    Topic(
        name="Device/SirenAndLight/HealthCheckLightFailed", item="", bad="", what="a self test of the light failed", means=_self_test("light failed"), once=True
    ),
    Topic(name="Device/SirenAndLight/HealthCheckSuccess", item="", bad="", what="a self test passed", means=_self_test("passed"), once=True),
    Topic(name="Device/SpeakerTest/TestResult", item="SpeakerTestStatus", bad="failed", what="a speaker test ended", means=_speaker_test, once=True),
    Topic(name="Device/MQTT/ClientStatus", item="connected", bad="0 while active=1", what="the MQTT client lost its broker", means=_mqtt, facets=("mqtt",)),
    Topic(
        name="AirQualityMonitor/Alarm",
        item="active",
        bad="1",
        what="an air quality limit is passed",
        means=_held("air_quality", "active", "source"),
        source="unverified",
    ),
)
"""The topics that say something of health. The device announces more; they are of no interest here."""

BY_NAME: Final = {row.name: row for row in TOPICS}
