"""What an Axis device says of its applications, of the health of its picture, and of who takes it. Pure; every parser raises BadPayload and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from agent.errors import BadPayload
from agent.model import Component, Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData
from collectors.axis.lenient import ITEMS, first, moment, named_list, objects, said, yes
from collectors.axis.lenient import fields as fields_of
from collectors.axis.parse import flag, word
from collectors.axis.parse_storage import xml

IMAGE_HEALTH = "AXISImageHealthAnalytics"
_STATES = {"running": "ok", "stopped": "off", "idle": "off"}


def application_key(name: str) -> str:
    """The key of an application as a part of its device."""
    return f"application {name}"


def applications(body: bytes) -> FacetData:
    """applications/list.cgi. `Idle` is neither: an application that waits, for its licence or for an event."""
    root = xml(body)
    found = [element for element in root.iter() if _tag(element.tag) == "application"]
    if not found and _tag(root.tag) != "reply":
        raise BadPayload("applications/list: neither an application nor a reply")
    readings: list[Reading] = []
    components: dict[str, Component] = {}
    for element in found[:ITEMS]:
        name, raw = word(element.get("Name"), 64), word(element.get("Status"), 32)
        key = application_key(name)
        if not name or key in components:
            continue
        state = _STATES.get(raw.lower(), UNKNOWN)
        components[key] = Component(
            kind="application",
            key=key,
            name=word(element.get("NiceName")) or name,
            firmware=word(element.get("Version"), 64),
            state=state,
            raw=raw,
        )
        if raw.lower() in ("running", "stopped"):
            readings.append(Reading(metric="latarnik_axis_application_running", value=float(state == "ok"), labels=(name,), component=key, raw=raw))
        ends = moment(element.get("LicenseExpirationDate"))
        if ends is not None and word(element.get("License")).lower() != "none":
            readings.append(
                Reading(
                    metric="latarnik_axis_application_license_expiry_timestamp_seconds",
                    value=ends,
                    labels=(name,),
                    component=key,
                    raw=word(element.get("LicenseExpirationDate")),
                )
            )
    return FacetData(readings=tuple(readings), components=tuple(components.values()))


def _tag(name: object) -> str:
    return str(name).rpartition("}")[2].lower()


# --- picture ----------------------------------------------------------------------------------------------------------

TROUBLES = ("blocked", "blurred", "redirected", "underexposed")
_TROUBLE = re.compile(r"(?:is|image|picture|view)?(?:(block(?:ed|ing)?)|(blur(?:red|ry)?)|(redirect(?:ed|ion)?)|(underexpos(?:ed|ure)))(?:detected)?")
_THERE = frozenset({"detected", "active", "alarm", "triggered", "bad", "present"})
_NOT_THERE = frozenset({"notdetected", "inactive", "normal", "ok", "good", "none", "cleared", "absent"})
_SETTINGS = frozenset(
    {"capabilities", "supported", "features", "settings", "config", "configuration", "parameters", "enabled", "disabled", "enableddetections", "enabledchecks"}
)
"""What is under these names is what the application can do, or shall."""
_VERDICTS = ("detected", "active", "alarm", "triggered", "state", "status", "value", "result")


def image_health(payload: object) -> FacetData:
    """Status of AXIS Image Health Analytics (its interface is known from working clients; the shape of the answer is unverified).

    Taken is what is named like a trouble and says yes or no. None: the application is stopped.
    """
    if payload is None:
        return FacetData(readings=(_answers(0.0, "503"),))
    readings: dict[str, Reading] = {}
    for _, told in objects(payload, without=_SETTINGS):
        for name, value in told.items():
            found = _TROUBLE.fullmatch(name)
            there = _verdict(value) if found else None
            if found is None or there is None:
                continue
            trouble = TROUBLES[(found.lastindex or 1) - 1]
            # Of several views, or words for one thing, the worst counts.
            if trouble not in readings or there:
                readings[trouble] = Reading(metric="latarnik_axis_picture_trouble", value=float(there), labels=(trouble,), component=trouble, raw=name)
    if not readings:
        raise BadPayload("image health: nothing in the answer is named like a trouble of a picture")
    return FacetData(readings=(_answers(1.0, "it answers"), *readings.values()))


def _answers(value: float, raw: str) -> Reading:
    return Reading(metric="latarnik_axis_application_running", value=value, labels=(IMAGE_HEALTH,), component=application_key(IMAGE_HEALTH), raw=raw)


def _verdict(value: object) -> bool | None:
    if isinstance(value, dict):
        told = fields_of(value)
        if flag(told.get("enabled")) is False:
            return None
        return _verdict(first(told, *_VERDICTS)) if not isinstance(first(told, *_VERDICTS), dict) else None
    known = yes(value)
    return known if known is not None else said(value, _THERE, _NOT_THERE)


# --- streams ----------------------------------------------------------------------------------------------------------

PLAYING = frozenset({"playing", "play", "active", "streaming"})
NOT_PLAYING = frozenset({"paused", "pause", "ready", "init", "stopped", "setup", "idle", "inactive"})
_WHERE = ("destinationaddress", "destination", "destinationip", "clientaddress", "clientip", "remoteaddress", "ipaddress", "address", "ip", "client")
UNREADABLE = "?"


def streams(payload: object) -> FacetData:
    """streamstatus.cgi getAllStreams: that it tells state, destination and user agent of each RTSP stream is documented; names and words are unverified.

    `raw` holds where the playing ones go, `?` for a stream that cannot be read.
    """
    data = payload.get("data") if isinstance(payload, dict) else None
    found: list[object] | None = data if isinstance(data, list) else None
    if found is None and isinstance(data, dict):
        found = named_list(data, "streams", "streamlist", "items", "allstreams", "activestreams")
    if found is None:
        raise BadPayload("streamstatus: the answer has no list of streams")
    where: set[str] = set()
    count = 0
    for item in found[:ITEMS]:
        told = fields_of(item) if isinstance(item, dict) else {}
        playing = said(first(told, "state", "status", "streamstate"), PLAYING, NOT_PLAYING)
        if playing is False:
            continue
        count += playing is True
        where.add((_one_client(address(first(told, *_WHERE))) if playing else "") or UNREADABLE)
    return FacetData(readings=(Reading(metric="latarnik_axis_streams_playing", value=float(count), raw=" ".join(sorted(where))),))


def _one_client(found: str) -> str:
    """The address, or '' where it does not tell who takes the stream: of a group (multicast), or of the device's own end of a tunnel (RTSP within HTTPS)."""
    known = ip_address(found) if found else None
    return "" if known is None or known.is_multicast or known.is_loopback or known.is_unspecified else found


def address(value: object) -> str:
    """An IP address in its usual form, without a port; '' for anything else."""
    if isinstance(value, dict):
        told: Mapping[str, Any] = fields_of(value)
        value = first(told, "address", "ip", "ipaddress", "host")
    text = word(value, 64)
    for candidate in (text, text.rpartition(":")[0], text.partition("]")[0].removeprefix("[")):
        try:
            found = ip_address(candidate)
        except ValueError:
            continue
        mapped = getattr(found, "ipv4_mapped", None)
        return str(mapped or found)
    return ""
