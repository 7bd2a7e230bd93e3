"""VideoOS answers made into readings and parts. Pure; the only error is BadPayload.

Shapes marked "recorded" were seen in recordings of a Studio X30 (3.10 and 3.12); the others come from the REST guides or from other
integrations and are read with the same leniency.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.errors import BadPayload
from agent.model import Component, Identity, Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData
from collectors.poly import metrics as m
from collectors.poly.lenient import decode, first, mac, mapping, number, rows, truth, word

LAN = "lan"
MAX_PARTS = 32

TextParser = Callable[[str], FacetData]

_RELEASE = re.compile(r"(?i)^release\s*-\s*")
_SYSTEM_KEYS = frozenset({"serialNumber", "model", "softwareVersion", "state", "uptime"})
_NOT_READY = frozenset({"initializing", "shutting_down", "down", "updating"})

_ROW_WORDS = {
    "up": "up",
    "all_up": "up",
    "some_up": "degraded",
    "full": "degraded",
    "down": "down",
    "all_down": "down",
    "none_up": "down",
    "off": "off",
}
_ROW_WEIGHT = {"down": 4, "degraded": 3, UNKNOWN: 2, "up": 1, "off": 0}

_THERE = frozenset({"CONNECTED", "PAIRED"})
_GONE = frozenset({"DISCONNECTED", "UNAVAILABLE", "UNPAIRED", "NOT_CONNECTED", "NOTCONNECTED", "OFFLINE", "LOST", "MISSING"})
_KINDS = {"TOUCHCONTROL": "touch_panel", "CAMERA": "camera", "MICROPHONE": "microphone", "REMOTE": "remote", "SPEAKER": "speaker"}

LAUNCHER_PACKAGES = frozenset({"com.poly.polylauncher", "com.polycom.camuvc"})
"""Poly's own applications. With no other installed, `/rest/conferences` sees every call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An answer and when it came."""

    text: str
    at: datetime


def system(raw: Timed) -> FacetData:
    """`GET /rest/system` (recorded): identity, state, LAN, start, clock."""
    body = mapping(decode(raw.text, "system"), "system")
    if not _SYSTEM_KEYS & body.keys():
        raise BadPayload("system: none of the keys of a system description")
    readings: list[Reading] = []
    facts: dict[str, str] = {}
    state = word(body.get("state"))
    known = state.lower().replace(" ", "_")
    if state:
        readings.append(Reading(metric=m.STATE, state=known if known in m.STATES else UNKNOWN, raw=state))
    if known in m.STATES:
        readings.append(Reading(metric=m.READY, value=float(known not in _NOT_READY), raw=state))
    readings += _lan(body.get("lanStatus"))
    uptime = number(body.get("uptime"))
    if uptime is not None and 0 <= uptime < 1e10:
        boot = raw.at.timestamp() - uptime
        readings.append(Reading(metric=m.BOOT, value=round(boot, -1)))
        facts["boot"] = str(round(boot / 60) * 60)
    now = number(body.get("systemTime"))
    if now is not None and now > 0:
        readings.append(Reading(metric=m.CLOCK_OFFSET, value=round(now / 1000 - raw.at.timestamp(), 1)))
    offset = number(body.get("timeOffset"))
    if offset is not None and abs(offset) <= 86_400_000:
        facts["time_offset"] = str(round(offset / 1000))
    readings += _flag(m.REBOOT_NEEDED, body.get("rebootNeeded"))
    server = word(body.get("timeServerState"))
    if server.upper() in ("TIMESERVER_UP", "TIMESERVER_DOWN"):
        readings.append(Reading(metric=m.TIME_SERVER_UP, value=float(server.upper() == "TIMESERVER_UP"), raw=server))
    if build := word(body.get("build")):
        facts["build"] = build
    identity = Identity(
        vendor="Poly",
        serial=word(body.get("serialNumber")),
        model=word(body.get("model")),
        firmware=_RELEASE.sub("", word(body.get("softwareVersion"))),
        hardware=word(body.get("hardwareVersion")),
        name=word(body.get("systemName")),
    )
    return FacetData(identity=identity, readings=tuple(readings), facts=facts)


def _lan(value: Any) -> list[Reading]:
    if not isinstance(value, dict):
        return []
    readings: list[Reading] = []
    state = word(value.get("state"))
    if state.upper() in ("LAN_UP", "LAN_DOWN"):
        readings.append(Reading(metric=m.LINK_UP, value=float(state.upper() == "LAN_UP"), labels=(LAN,), raw=state))
    speed = number(value.get("speedMbps"))
    if speed is not None and 0 < speed < 1e6:
        readings.append(Reading(metric=m.LINK_SPEED, value=speed * 125_000, labels=(LAN,), raw=word(value.get("speedMbps"))))
    duplex = word(value.get("duplex"))
    if duplex.upper() in ("FULL", "HALF"):
        readings.append(Reading(metric=m.LAN_FULL_DUPLEX, value=float(duplex.upper() == "FULL"), raw=duplex))
    return readings


def _flag(metric: str, value: Any) -> list[Reading]:
    known = truth(value)
    return [] if known is None else [Reading(metric=metric, value=float(known))]


def status(text: str) -> FacetData:
    """`GET /rest/system/status` (recorded): rows with a name and one or more words; Group Series spells some keys otherwise."""
    worst: dict[str, tuple[str, str]] = {}
    for row in rows(decode(text, "status"), "status"):
        name = word(row.get("name")).removeprefix("system.status.")[:64]
        listed = first(row, "stateList", "state")
        judged = [(_ROW_WORDS.get(w.lower(), UNKNOWN), w) for w in map(word, listed if isinstance(listed, list) else (listed,)) if w]
        if not name or not judged:
            continue
        if name in worst:
            judged.append(worst[name])
        elif len(worst) >= m.MAX_ROWS:
            continue
        worst[name] = judged[0] if len(judged) == 1 else max(judged, key=lambda pair: _ROW_WEIGHT[pair[0]])
    readings = [Reading(metric=m.STATUS, state=state, labels=(name,), component=name, raw=raw) for name, (state, raw) in worst.items()]
    if "logthreshold" in worst and worst["logthreshold"][0] != UNKNOWN:
        readings.append(Reading(metric=m.LOG_FULL, value=float(worst["logthreshold"][1].lower() == "full"), raw=worst["logthreshold"][1]))
    return FacetData(readings=tuple(readings))


def peripherals(text: str) -> FacetData:
    """`POST /rest/devicemanagement/devices` (recorded): the codec's own row gives its MAC, the others are what hangs on it.

    A row for an E70 or a TC10 was never recorded. A part without a serial cannot be missed; its state is still shown.
    """
    own = Identity()
    parts: dict[str, Component] = {}
    for row in rows(decode(text, "peripherals"), "peripherals"):
        uid, kind = word(row.get("uid")), word(row.get("deviceType")).upper()
        if uid == "local-system" or kind == "CODEC":
            own = Identity(mac=mac(row.get("macAddress")))
            continue
        part = _part(row, uid, kind)
        if part is not None and part.key not in parts and len(parts) < MAX_PARTS:
            parts[part.key] = part
    readings: list[Reading] = []
    for part in parts.values():
        readings.append(Reading(metric=m.PERIPHERAL, value=1.0, labels=(part.key, part.kind, part.model, part.serial, part.firmware), component=part.key))
        if part.state in ("ok", "missing"):
            readings.append(
                Reading(metric=m.PERIPHERAL_CONNECTED, value=float(part.state == "ok"), labels=(part.key, part.kind), component=part.key, raw=part.raw)
            )
    return FacetData(identity=own, readings=tuple(readings), components=tuple(parts.values()))


def _part(row: Mapping[str, Any], uid: str, said_kind: str) -> Component | None:
    serial, address = word(row.get("serialNumber")), mac(row.get("macAddress"))
    model, name = word(row.get("productName")), word(row.get("systemName"))
    key = serial or uid or address or name
    if not key:
        return None
    said = word(row.get("deviceState")).upper()
    state = "ok" if said in _THERE else "missing" if said in _GONE else UNKNOWN
    kind_words = (said_kind, word(row.get("deviceCategory")).upper())
    known = _KINDS.get(kind_words[0]) or _KINDS.get(kind_words[1])
    kind = known or next((w.lower() for w in kind_words if w and w != "UNKNOWN"), "part")
    return Component(
        kind=kind,
        key=key,
        name=name or model,
        serial=serial,
        model=model,
        firmware=word(row.get("softwareVersion")),
        mac="" if uid.startswith("local-") else address,
        state=state,
        raw=said,
        removable=bool(serial),
    )


def audio(text: str) -> FacetData:
    """`GET /rest/audio` (recorded)."""
    body = mapping(decode(text, "audio"), "audio")
    readings = [*_flag(m.MUTED, body.get("muted")), *_flag(m.MUTE_LOCKED, body.get("muteLocked"))]
    count = number(body.get("numOfMicsConnected"))
    if count is not None and 0 <= count < 1000:
        readings.append(Reading(metric=m.MICROPHONES, value=count))
    return FacetData(readings=tuple(readings))


def microphones(text: str) -> FacetData:
    """`GET /rest/audio/microphones` (recorded). Of the states only MIC_STATE_GREEN is known."""
    parts: dict[str, Component] = {}
    for row in rows(decode(text, "microphones"), "microphones")[:MAX_PARTS]:
        index = word(row.get("number"))
        if not index:
            continue
        said = word(row.get("state"))
        key = f"microphone:{index}"
        parts[key] = Component(
            kind="microphone",
            key=key,
            name=word(row.get("typeInString")),
            firmware=word(row.get("swVersion")),
            state="ok" if said.upper() == "MIC_STATE_GREEN" else UNKNOWN,
            raw=said,
        )
    return FacetData(components=tuple(parts.values()))


def cameras(text: str) -> FacetData:
    """`GET /rest/cameras/near/all`: the people sources. Most of the twelve inputs are not connected, which is normal."""
    parts: dict[str, Component] = {}
    for row in rows(decode(text, "cameras"), "cameras"):
        index, connected = word(row.get("cameraIndex")), truth(row.get("connected"))
        if not index or connected is None or word(row.get("sourceType")).upper() != "SRC_PEOPLE" or len(parts) >= 16:
            continue
        key = f"camera:{index}"
        parts[key] = Component(
            kind="camera",
            key=key,
            name=word(row.get("name")),
            model=word(row.get("model")),
            state="ok" if connected else "off",
            raw="connected" if connected else "not connected",
        )
    readings = [
        Reading(metric=m.CAMERA_CONNECTED, value=float(p.state == "ok"), labels=(p.key.removeprefix("camera:"),), component=p.key) for p in parts.values()
    ]
    return FacetData(readings=tuple(readings), components=tuple(parts.values()))


def apps(text: str) -> FacetData:
    """`GET /rest/system/apps` (recorded)."""
    found: dict[str, Component] = {}
    for row in rows(decode(text, "apps"), "apps"):
        package = word(row.get("packageName")) or word(row.get("appName"))
        if package and len(found) < 16:
            found[package] = Component(
                kind="application", key=package, name=word(row.get("appName")), firmware=word(row.get("versionInfo")), state="ok", raw="installed"
            )
    readings = [Reading(metric=m.APP, value=1.0, labels=(c.name or c.key, c.firmware), component=c.key) for c in found.values()]
    unique = {r.labels: r for r in readings}
    return FacetData(readings=tuple(unique.values()), components=tuple(found.values()))


def sip_servers(text: str) -> FacetData:
    """`GET /rest/system/sipservers` (recorded)."""
    return _registered(text, "sip")


def gatekeepers(text: str) -> FacetData:
    """`GET /rest/system/h323gatekeepers` (recorded)."""
    return _registered(text, "gatekeeper")


def _registered(text: str, service: str) -> FacetData:
    states = [s for s in (word(row.get("state")).upper() for row in rows(decode(text, service), service) if word(row.get("address"))) if s in ("UP", "DOWN")]
    if not states:
        return FacetData()
    return FacetData(readings=(Reading(metric=m.REGISTERED, value=float("UP" in states), labels=(service,)),))


def calendar(text: str) -> FacetData:
    """`GET /rest/calendar`: `status` or `Status`, by firmware (the words are documented, not recorded)."""
    body = mapping(decode(text, "calendar"), "calendar")
    said = word(first(body, "status", "Status"))
    if not said:
        return FacetData()
    state = "error" if said.upper().startswith("ERR_") else said.lower()
    return FacetData(readings=(Reading(metric=m.CALENDAR, state=state if state in m.CALENDAR_STATES else UNKNOWN, raw=said),))


def sessions(text: str) -> FacetData:
    """`GET /rest/current/session/sessions` (recorded): how many there are; their ids are not taken over."""
    body = mapping(decode(text, "sessions"), "sessions")
    counts: dict[str, int] = {}
    for row in rows(body.get("sessionList"), "sessions"):
        client = word(row.get("clientType")).lower()
        client = client if client in ("web", "ssh", "telnet") else "other"
        counts[client] = counts.get(client, 0) + 1
    return FacetData(readings=tuple(Reading(metric=m.SESSIONS, value=float(n), labels=(client,)) for client, n in counts.items()))
