"""Is the room in use? Which answer says so depends on the application that runs the room. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.model import Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData
from collectors.poly import metrics as m
from collectors.poly.lenient import decode, first, mapping, rows, truth, word
from collectors.poly.parse import LAUNCHER_PACKAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class UseAnswers:
    """Bodies of what was asked; None: the codec does not have it, or it was not needed.

    `mode` is `/rest/system/mode`, `device_mode` `/rest/system/mode/device`, `apps_state` `/rest/system/apps/state`, `apps` `/rest/system/apps`.
    """

    mode: str | None = None
    device_mode: str | None = None
    conferences: str | None = None
    apps_state: str | None = None
    apps: str | None = None


def use(raw: UseAnswers, running: str | None = None) -> FacetData:
    """The mode, whether there is a call, and whether the device is in use.

    Unknown (None) in Device Mode, where a computer uses the bar as its camera, and whenever the answer that would know is not there:
    `/rest/conferences` does not see calls of Teams or Zoom, `/rest/system/apps/state` does not see those of Poly's own application.
    `running`: the mode, where it was asked for already.
    """
    mode = running_mode(raw) if running is None else running
    readings = [Reading(metric=m.MODE, state=mode if mode in m.MODES else UNKNOWN, raw=mode)] if mode else []
    facts = {"mode": mode} if mode else {}
    if mode == "device":
        return FacetData(readings=tuple(readings), facts=facts)
    calls = None if raw.conferences is None else in_conference(raw.conferences)
    meeting = None if raw.apps_state is None else in_meeting(raw.apps_state)
    busy: bool | None
    if calls or meeting:
        busy = True
    elif mode == "poly" or (not mode and only_launcher(raw.apps)):
        busy = calls
    elif mode:
        busy = meeting
    else:
        busy = None if calls is None or meeting is None else False
    if busy is not None:
        readings.append(Reading(metric=m.CALL_ACTIVE, value=float(busy)))
    return FacetData(readings=tuple(readings), facts=facts, in_use=busy)


def running_mode(raw: UseAnswers) -> str:
    """poly, teams, zoom, device, other; '' when the codec does not say. The body of `/rest/system/mode` is documented, not recorded."""
    persona = ""
    if raw.mode is not None:
        body = mapping(decode(raw.mode, "mode"), "mode")
        persona = (word(body.get("activePersona")) or word(body.get("appPersona")) or word(body.get("app"))).lower()
    if raw.device_mode is not None and not persona:
        value = decode(raw.device_mode, "mode/device")
        if truth(value.get("result") if isinstance(value, dict) else value):
            persona = "camuvc"
    if not persona:
        return ""
    if "camuvc" in persona or persona.replace(" ", "") == "devicemode":
        return "device"
    if persona in ("poly", "com.poly.polylauncher"):
        return "poly"
    return "teams" if "teams" in persona else "zoom" if "zoom" in persona else "other"


def in_conference(text: str) -> bool:
    """Whether `/rest/conferences` holds a call: an active item or a connected party. The placeholder PENDING is none."""
    for item in rows(decode(text, "conferences"), "conferences"):
        if truth(item.get("isActive")):
            return True
        connections = item.get("connections")
        if isinstance(connections, list) and any(isinstance(c, dict) and word(c.get("state")).upper() == "CONNECTED" for c in connections):
            return True
    return False


def in_meeting(text: str) -> bool | None:
    """Whether an application of `/rest/system/apps/state` is in a meeting; None when none of them says."""
    said = [truth(first(row, "inMeeting", "InMeeting")) for row in rows(decode(text, "apps/state"), "apps/state")]
    if True in said:
        return True
    return False if said and None not in said else None


def only_launcher(text: str | None) -> bool:
    """Whether Poly's own applications are the only ones installed."""
    if text is None:
        return False
    packages = [word(row.get("packageName")) for row in rows(decode(text, "apps"), "apps")]
    return bool(packages) and set(packages) <= LAUNCHER_PACKAGES
